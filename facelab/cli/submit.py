"""`python -m facelab submit`: the homework's submissions."""

import sys
from typing import Annotated

from tyro.conf import arg

from facelab.cli.terminal import on_device
from facelab.data.images import printable
from facelab.evaluation.hw2p2_submission import submit as submit_homework

Model = Annotated[str, arg(metavar="MODEL")]
Root = Annotated[str, arg(metavar="ROOT")]


def submit(
    model: Model,
    root: Root,
    /,
    out: str,
    sample: str | None = None,
    partial: bool = False,
    device: str = "auto",
) -> None:
    """Write the homework's submissions (CMU 11-785, HW2P2): verification.csv and classification.csv.

    The layout of any year from 2021 to 2026 is recognized. The crops must be 112x112, as in the course since
    2024. Shipped checkpoints and pretrained starts cannot be submitted: the course forbids them.

    Args:
        model: A checkpoint's name or path; for classes, one that was trained on the homework's classes.
        root: Folder of the homework's unpacked data.
        out: Folder for the files, metadata.json included.
        sample: The course's sample of one combined file; combined.csv then has its ids and titles.
        partial: Submit even if some of the classes cannot be predicted, or numbered images are missing.
        device: Device that embeds: auto, cpu, cuda or cuda:N.
    """
    on, tell = on_device(device)
    done = submit_homework(model, root, out, partial, tell, on, sample)
    print(f"layout: {done.layout}", file=sys.stderr)
    for path in done.files:
        print(f"wrote {path}")
    for note in done.notes:
        print(note, file=sys.stderr)
    for name, reason in done.failures.items():
        print(f"{printable(name)}  {reason}")
    if not done.files:
        raise ValueError(f"{root} contains nothing that this checkpoint can predict")
