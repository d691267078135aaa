"""The look of the page: a built-in theme with the system's fonts, so that nothing is fetched, and a little
CSS."""

import gradio as gr

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { max-width: 1080px !important; margin: 0 auto !important; }
footer { opacity: .7; }
.fl-lead { font-size: 1.05rem; line-height: 1.5; margin: 0 0 .25rem; }
.fl-card { border: 1px solid var(--border-color-primary); border-left: 6px solid var(--fl-accent, #888);
  border-radius: 10px; padding: 1rem 1.1rem; background: var(--block-background-fill); color: var(--body-text-color); }
.fl-card h2 { margin: 0 0 .35rem; font-size: 1.45rem; line-height: 1.25; }
.fl-card p { margin: .3rem 0; line-height: 1.5; }
.fl-same { --fl-accent: #0072B2; } .fl-different { --fl-accent: #D55E00; } .fl-problem { --fl-accent: #CC79A7; }
.fl-small { font-size: .88rem; color: var(--body-text-color-subdued); }
.fl-figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.4rem, 1fr)); gap: .6rem; margin: .8rem 0; }
.fl-figures div { background: var(--background-fill-secondary); border-radius: 8px; padding: .5rem .7rem; }
.fl-figures b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.fl-seen { display: grid; grid-template-columns: minmax(0, 1fr) 112px; gap: .8rem; align-items: start; }
.fl-seen img, .fl-seen svg { display: block; border-radius: 8px; max-width: 100%; }
.fl-photo { position: relative; } .fl-photo svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.fl-photo img { width: 100%; }
.fl-seen figcaption { font-size: .82rem; color: var(--body-text-color-subdued); margin-top: .3rem; line-height: 1.35; }
.fl-seen figure { margin: 0; }
@media (max-width: 560px) { .fl-controls { flex-direction: column; } .fl-card { padding: .8rem; } }
@media (max-width: 480px) { .gradio-container { padding: 8px !important; } }
"""


def theme() -> gr.themes.Base:
    """Built in, with system fonts only."""
    return gr.themes.Base(
        primary_hue="blue", neutral_hue="slate", font=list(FONTS), font_mono=list(MONO), radius_size="md"
    )
