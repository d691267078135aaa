"""Code to copy, as text in a box. Gradio's own component loads an editor of 400 kB with every page."""

import html

import gradio as gr

STYLE = """
.fl-code { margin: 0; }
.fl-code figcaption { display: flex; justify-content: space-between; align-items: center; font-size: .88rem;
  font-weight: 600; }
.fl-code pre { margin: .3rem 0 0; padding: .5rem .7rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .82rem; line-height: 1.45; border: 1px solid var(--border-color-primary); border-radius: 8px;
  background: var(--background-fill-secondary); }
"""
COPY = """
element.addEventListener('click', async (event) => {
  const button = event.target.closest('button'), text = element.querySelector('code');
  if (!button) return;
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = '✔ Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  } catch {
    getSelection().selectAllChildren(text);  // no right to the clipboard
  }
});
"""


class CodeBox(gr.HTML):
    """A box of code with a button that copies it; its value is the code, plain text.

    Args:
        value: the code shown first.
        label: what it is, above it.
        elem_id: its id on the page.
    """

    def __init__(
        self, value: str = "", label: str = "Code", elem_id: str | None = None, render: bool = True
    ) -> None:
        super().__init__(
            value,
            html_template=f'<figure class="fl-code"><figcaption>{html.escape(label)}<button type="button" '
            f'class="fl-copy" aria-label="Copy: {html.escape(label)}">Copy</button></figcaption>'
            "<pre><code>${value}</code></pre></figure>",
            css_template=STYLE,
            js_on_load=COPY,
            label=label,
            elem_id=elem_id,
            padding=False,
            render=render,
        )

    def postprocess(self, value: str | None) -> str:
        """Return the code as HTML that shows it as it is."""
        return html.escape(value or "")
