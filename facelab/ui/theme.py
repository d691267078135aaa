"""The look of the page: a built-in theme with system fonts, and our style sheets; nothing is fetched."""

from pathlib import Path

import gradio as gr

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")

CSS = Path(__file__).parent / "style.css"  # gradio puts its own class before each of its selectors
LAYOUT = f"<style>{(Path(__file__).parent / 'layout.css').read_text()}</style>"  # as it is written
SCRIPT = f"<script>{(Path(__file__).parent / 'page.js').read_text()}</script>"


def theme() -> gr.themes.Base:
    """Built in, with system fonts only; notes are dark enough to be read (4.8 : 1 on white)."""
    return gr.themes.Base(
        primary_hue="blue", neutral_hue="slate", font=list(FONTS), font_mono=list(MONO), radius_size="md"
    ).set(body_text_color_subdued="*neutral_500")
