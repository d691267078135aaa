"""`python -m facelab doctor`: what is wrong with a training, by its checkpoint or its log."""

import json as jsonlib
from dataclasses import asdict
from typing import Annotated

from tyro.conf import arg

from facelab.data.images import printable
from facelab.evaluation.doctor import diagnose
from facelab.evaluation.run_log import Settings, read_run
from facelab.models.losses import loss_options


def doctor(
    run: Annotated[str, arg(metavar="RUN")],
    /,
    loss: str | None = None,
    classes: int | None = None,
    margin: float | None = None,
    scale: float | None = None,
    margin_warmup: int | None = None,
    pair_margin: float | None = None,
    optimizer: str | None = None,
    pretrained: bool = False,
    json: bool = False,
) -> None:
    """Find what is wrong with a training: the numbers that show it, and the remedy.

    Args:
        run: A checkpoint, whose header holds the history of its training; or a log of any program: .csv with
            titles, .jsonl, TensorBoard's event file or its folder. The other flags are for a log, which
            cannot hold them; a checkpoint has them.
        loss: Loss, e.g. softmax, arcface, triplet.
        classes: Number of training identities.
        margin: Margin of arcface, cosface or a_softmax.
        scale: Scale of arcface or cosface.
        margin_warmup: Steps in which the margin grew from zero.
        pair_margin: Margin of contrastive, triplet or pairwise.
        optimizer: Optimizer, sgd or adamw.
        pretrained: The run began from trained weights.
        json: Print one JSON object.
    """
    if loss is not None:
        loss_options(loss)  # refuses an unknown name
    if classes is not None and classes < 2:
        raise ValueError(f"--classes is {classes}; a training has 2 classes or more")
    stated = Settings(loss, classes, margin, scale, margin_warmup, pair_margin, pretrained, optimizer)
    if run.endswith(".safetensors") and stated != Settings(pretrained=False):
        raise ValueError("a checkpoint holds its own settings; leave the flags out")
    log = read_run(run, stated)
    findings = diagnose(log)
    points = {name: len(curve) for name, curve in log.curves.items()}
    if json:
        print(jsonlib.dumps({"findings": [asdict(finding) for finding in findings], "points": points}))
        return
    print("read: " + ", ".join(f"{name} ({count:,} points)" for name, count in points.items()))
    for finding in findings:
        print(f"\n{finding.title}\n  seen:   {printable(finding.saw)}\n  remedy: {finding.remedy}")
    if not findings:
        print("no rule of the doctor applies to these figures")
