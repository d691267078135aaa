"""The photo inputs of the tabs: upload, paste or camera, handed on as an unread file."""

from typing import Any

import gradio as gr
from PIL import Image


class PhotoInput(gr.Image):
    """An image input that hands on the file unread, so that our own reader refuses a bad one in words."""

    def __init__(self, label: str, elem_id: str | None = None, value: Image.Image | None = None) -> None:
        super().__init__(
            value,
            type="filepath",
            image_mode=None,
            format="png",  # an opening picture is sent as it is, so pressing the button gives the same score
            sources=["upload", "clipboard", "webcam"],
            buttons=["fullscreen"],
            label=label,
            elem_id=elem_id,
            height=260,
        )

    def preprocess(self, payload: Any) -> str | None:
        """The path of the upload, or None; a pasted data URL is written to the session's folder first."""
        if payload is None or payload.path is not None:
            return payload and payload.path
        return super().preprocess(payload)

    def get_block_name(self) -> str:
        """Drawn by the page as any image input is."""
        return "image"

    def get_config(self, cls: type | None = None) -> dict[str, Any]:
        """All of gr.Image's settings; gradio would otherwise send those of this constructor only."""
        return super().get_config(gr.Image)
