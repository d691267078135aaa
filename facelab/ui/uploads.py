"""Files that a visitor may name: uploads of this page, and no other file of the server.

Gradio passes the content of a request on to each component, fetches addresses in it, and checks only paths
with a certain label. `Guarded` checks every input of every event first, public or private, called by name or
by number, so that no component has to.
"""

import contextlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from facelab.recognition.visit import reachable
from facelab.ui.visit import models_of

NOT_UPLOADED = (
    "This file is not on the page (any more): uploads are deleted after 20 minutes at the latest. Upload it "
    "again; addresses are not fetched."
)
UNFIT = "This request does not fit the endpoint: send what its API page lists, files as uploads first."
FOLDER = re.compile(r"[0-9a-f]{64}")  # gradio names each upload's folder by a hash that nobody can guess


def uploaded(path: object) -> str:
    """Return the real path of an upload.

    Raises:
        gr.Error: anything else, with the same message whether it exists or not, which reveals nothing about
            the server's files.
    """
    try:
        root, real = (os.path.realpath(place) for place in (get_upload_folder(), path))
        inside = Path(real).relative_to(root).parts
    except (TypeError, ValueError):  # no text, a NUL in it, or outside
        inside = ()
    if len(inside) != 2 or not FOLDER.fullmatch(inside[0]) or not os.path.isfile(real):
        raise gr.Error(NOT_UPLOADED, print_exception=False)
    return real


def check_inputs(values: Any) -> None:
    """Raise an error if any part of a request names a file that was not uploaded.

    Raises:
        gr.Error: as `uploaded`.
    """
    todo = [values]  # a list and no recursion: a request may be nested a thousand deep
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.get("path") is not None:
                uploaded(value["path"])
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value


@contextlib.contextmanager
def deleting(*paths: str) -> Iterator[None]:
    """Delete uploads once they are read, each with the folder that gradio makes for it."""
    try:
        yield
    finally:
        for path in paths:
            Path(path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                os.rmdir(Path(path).parent)


class Guarded(gr.Blocks):
    """Blocks that check the files named in a request before anything else.

    Attributes:
        stateless: names of events that keep no state; a session without any is dropped after them, because
            gradio copies all settings of the page into each session.
    """

    stateless: Collection[str] = ()

    async def process_api(self, block_fn: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return what gradio returns, with the visit's models in reach; then drop the session of a call that
        needs none.
        """
        event = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if event.fn is None:  # it runs in the browser alone
            raise gr.Error(UNFIT, print_exception=False)
        public = event.api_name in self.stateless
        models = {} if public else models_of(self, named.get("state"))
        try:
            with reachable(models):
                return await super().process_api(block_fn, *arguments, **named)
        finally:
            session = named.get("session_hash")
            if public and session is not None:
                self._forget(session)

    def _forget(self, session: str) -> None:
        kept = self.state_holder.session_data.get(session)
        if kept is not None and not kept.state_data:
            self.state_holder.session_data.pop(session, None)
            self.state_holder.time_last_used.pop(session, None)

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Call gradio's method after the check; every route to an event uses this method.

        Input that is invalid for its component raises an error of one sentence instead of a traceback in the
        log, which would quote from the request: the name of a visitor's file, or the beginning of a photo.
        """
        check_inputs(inputs)
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:  # pydantic's, or of a component that was given another type
            raise gr.Error(UNFIT, print_exception=False) from error
