"""The photo inputs of the tabs: upload, paste or camera, handed on as an unread file."""

import base64
import binascii
from typing import Any

import gradio as gr
from PIL import Image

from facelab.ui.uploads import NOT_UPLOADED, uploaded

CUT_SHORT = "The photo in this data: URL is cut short; send it again as base64."


class PhotoInput(gr.Image):
    """An image input that passes on the file unread, so that the project's reader can report an invalid
    one.
    """

    def __init__(
        self,
        label: str,
        elem_id: str | None = None,
        value: Image.Image | None = None,
        render: bool = True,
    ) -> None:
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
            render=render,
        )

    def preprocess(self, payload: Any) -> str | bytes | None:
        """Return the path of the upload, or None; the content of a `data:` URL is not written to disk."""
        if payload is None:
            return None
        if payload.path is not None:  # again, for Blocks that are not Guarded
            return uploaded(payload.path)
        head, comma, packed = (payload.url or "").partition(",")
        if not (head.startswith("data:") and head.endswith(";base64") and comma):
            raise gr.Error(NOT_UPLOADED, print_exception=False)
        try:
            return base64.b64decode(packed, validate=True)
        except binascii.Error as error:
            raise gr.Error(CUT_SHORT, print_exception=False) from error

    def get_block_name(self) -> str:
        """Return the name of gradio's image input, which draws this one."""
        return "image"

    def get_config(self, cls: type | None = None) -> dict[str, Any]:
        """Return all of gr.Image's settings; gradio would otherwise send those of this constructor only."""
        return super().get_config(gr.Image)
