"""`python -m facelab push`: a checkpoint and its model card on the Hugging Face Hub."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from facelab.evaluation.hub_card import WEIGHTS, hub_card
from facelab.models import checkpoint, hub, zoo


def push(
    model: Annotated[str, arg(metavar="MODEL")],
    repository: Annotated[str, arg(metavar="OWNER/NAME")],
    /,
    license: str = "unknown",
    dataset: tuple[str, ...] = (),
    private: bool = False,
    identities: bool = False,
) -> None:
    """Upload a checkpoint with a generated model card to the Hugging Face Hub; HF_TOKEN holds the token.

    Args:
        model: A checkpoint's name or path.
        repository: Repository, e.g. me/my-faces; it is created if it does not exist.
        license: The license of your weights as the Hub calls it, e.g. cc-by-nc-4.0; shipped ones keep theirs.
        dataset: Data sets on the Hub that it was trained on.
        private: Make a new repository private.
        identities: Upload the names of the training identities too.
    """
    path = zoo.find_checkpoint(model)
    header = checkpoint.describe(path)
    ours = path.parent == zoo.CHECKPOINTS
    said, data = (WEIGHTS, ("celeba",)) if ours else ({"license": license}, dataset)
    if not identities:
        header = replace(header, identities=())
    with tempfile.TemporaryDirectory(prefix="facelab-") as folder:
        copy = Path(folder) / hub.FILE
        copy.write_bytes(path.read_bytes())
        checkpoint.update_header(copy, header)
        files = {hub.FILE: copy, "README.md": hub_card(path.stem, repository, header, said, data).encode()}
        if ours:
            files["LICENSE"] = zoo.CHECKPOINTS / "LICENSE"
        print(hub.push(repository, files, private))
