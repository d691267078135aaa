"""Predict, then reveal: a question with two answers before a tab's result, which may be skipped.

The answer was computed from what the page shows; it is hidden until one of the two is chosen. The choice
stays in the browser's memory: nothing is sent, stored, or written into the address.
"""

import html

import gradio as gr

SCRIPT = """
const card = element.querySelector('.fl-predict');
const answer = card.querySelector('.fl-predicted');
const buttons = [...card.querySelectorAll('button')];
const end = (words) => {
  card.querySelector('.fl-predict-choices').hidden = true;
  answer.hidden = false;
  answer.querySelector('b').textContent = words;
  answer.focus();
};
buttons.forEach((button, i) => button.addEventListener('click', () => {
  if (i === 2) return void (card.hidden = true);
  end(i === Number(card.dataset.right) ? '✔ As you predicted. ' : '✖ Not as you predicted. ');
}));
"""
STYLE = """
.fl-predict { display: flex; flex-wrap: wrap; gap: .35rem .8rem; align-items: center; padding: .45rem .8rem;
  border: 1px dashed var(--border-color-primary); border-radius: 10px; color: var(--body-text-color); }
.fl-predict[hidden], .fl-predict [hidden] { display: none; } .fl-predict p { margin: 0; line-height: 1.4; }
.fl-predict-choices { display: flex; flex-wrap: wrap; gap: .4rem; }
.fl-predict button { margin: 0; font-size: .9rem; font-weight: 500; }
.fl-predict button { min-height: 30px; padding: .15rem .8rem; cursor: pointer; border-radius: 8px;
  border: 1px solid var(--border-color-primary); background: var(--background-fill-secondary);
  color: var(--body-text-color); } .fl-predict button:last-child { border-color: transparent;
  background: none; text-decoration: underline; }
"""


def predict(tab: str, question: str, choices: tuple[str, str], right: int, answer: str) -> gr.HTML:
    """Lay out a prediction.

    Args:
        tab: for the element's id.
        question: one sentence.
        choices: the two answers.
        right: which of them is right, 0 or 1.
        answer: the sentence that is revealed, with its figures.
    """
    buttons = "".join(f'<button type="button">{html.escape(choice)}</button>' for choice in choices)
    return gr.HTML(
        html_template=f'<div class="fl-predict" role="group" aria-label="Prediction" data-right="{right}">'
        f"<p><b>Predict:</b> {html.escape(question)}</p>"
        f'<div class="fl-predict-choices">{buttons}<button type="button">Skip</button></div>'
        f'<p class="fl-predicted" role="status" tabindex="-1" hidden><b></b>{html.escape(answer)}</p></div>',
        css_template=STYLE,
        js_on_load=SCRIPT,
        elem_id=f"predict-{tab}",
        padding=False,
    )
