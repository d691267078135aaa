"""The look of the page: a built-in theme with system fonts, and our style sheets; nothing is fetched."""

from pathlib import Path

import gradio as gr

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")

HERE = Path(__file__).parent
CSS = HERE / "style.css"  # gradio puts its own class before each of its selectors
LAYOUT = f"<style>{(HERE / 'layout.css').read_text(encoding='utf-8')}</style>"  # as it is written
SCRIPT = "".join(
    f"<script>{(HERE / name).read_text(encoding='utf-8')}</script>"
    for name in ("page.js", "later.js", "keys.js", "shell.js")
)


def theme() -> gr.themes.Base:
    """Build the theme, with system fonts only; notes are dark enough to read (4.8 : 1 on white)."""
    return gr.themes.Base(
        primary_hue="blue", neutral_hue="slate", font=list(FONTS), font_mono=list(MONO), radius_size="md"
    ).set(
        body_text_size="15px",
        block_info_text_size="13px",
        block_title_text_size="14px",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        color_accent="*primary_700",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color_selected="*primary_700",
        checkbox_border_color_focus="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )
