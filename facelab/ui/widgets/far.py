"""The false accept rate as a control: a slider over its exponent that shows the rate itself.

A slider of gradio counts in even steps, and the rates of interest are powers of ten; so it holds -log10 FAR,
which a link names too, and the page writes the rate above it and four rates below it, each a button.
"""

import gradio as gr

LOWEST, HIGHEST, STEP = 1, 4, 0.1  # of -log10 FAR: 10% to 0.01%
MARKS = {1: "10%", 2: "1%", 3: "0.1%", 4: "0.01%"}
WRITE = """(exponent) => {
  const text = `${Number((100 * 10 ** -exponent).toPrecision(2))}%`;
  const rate = document.querySelector('#ID-rate');
  if (rate) rate.querySelector('output').textContent = `FAR = ${text}`;
  document.querySelector('#ID input[type=range]')?.setAttribute('aria-valuetext', text);
}"""
PRESS = """
const name = element.querySelector('.fl-rate').dataset.slider;
element.addEventListener('click', (event) => {
  const exponent = event.target.closest('button')?.dataset.exponent;
  const field = document.querySelector(`#${name} input[type=number]`);
  if (!exponent || !field) return;
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, exponent);
  field.dispatchEvent(new Event('input', {bubbles: true}));
});
"""
STYLE = """
.fl-rate { display: grid; grid-template-columns: repeat(4, auto); justify-content: space-between; }
.fl-rate output { grid-column: 1 / -1; font-weight: 700; font-variant-numeric: tabular-nums; }
.fl-rate button { margin: 0; min-height: 26px; padding: 0 .45rem; font-size: .82rem; cursor: pointer;
  border: 1px solid var(--border-color-primary); border-radius: 6px; background: none; color: inherit; }
@media (max-width: 1099.9px) {  /* in the phone's bar: one row */
  .fl-rate { grid-template-columns: 1fr repeat(4, auto); gap: 6px; align-items: center; }
  .fl-rate output { grid-column: auto; }
}
"""


def far_slider(value: float, elem_id: str) -> gr.Slider:
    """Lay out the control; return its slider of -log10 FAR.

    Args:
        value: it opens on.
        elem_id: of the slider; the rate is written into an element of that id and "-rate".
    """
    slider = gr.Slider(
        LOWEST,
        HIGHEST,
        value=value,
        step=STEP,
        label="False accept rate (FAR)",
        info="Share of impostor pairs that you accept; it sets the threshold.",
        elem_id=elem_id,
        elem_classes="fl-far",
    )
    gr.HTML(marks(value, elem_id), css_template=STYLE, js_on_load=PRESS, elem_id=f"{elem_id}-rate",
            padding=False)  # fmt: skip
    slider.change(
        None, slider, None, js=WRITE.replace("ID", elem_id), api_visibility="private", show_progress="hidden"
    )
    return slider


def marks(value: float, elem_id: str) -> str:
    """Return the rate in use, and a button for each power of ten."""
    buttons = "".join(
        f'<button type="button" data-exponent="{exponent}" aria-label="FAR {rate}">{rate}</button>'
        for exponent, rate in MARKS.items()
    )
    now = f"FAR = {float(f'{100 * 10**-value:.2g}'):g}%"
    return f'<div class="fl-rate" data-slider="{elem_id}"><output>{now}</output>{buttons}</div>'
