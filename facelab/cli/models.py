"""`python -m facelab models`: list the models with their figures."""

import json as jsonlib
import sys
from pathlib import Path

from facelab.evaluation import results
from facelab.evaluation.model_card import model_card
from facelab.models.zoo import checkpoint_names
from facelab.recognition import reference


def models(json: bool = False, markdown: bool = False, keep: tuple[Path, ...] = ()) -> None:
    """List the models with their figures; * marks runs without weights.

    Args:
        json: Print one JSON list.
        markdown: Print the model card of the checkpoints, in Markdown.
        keep: Checkpoint files whose figures are added to the project, without weights.
    """
    for path in keep:
        results.keep(path)
    headers = {}
    for name in results.names():
        try:
            headers[name] = results.header(name)
        except ValueError as error:  # one damaged file must not hide the others
            print(f"facelab: {error}", file=sys.stderr)
    if markdown:
        print(model_card(headers, checkpoint_names()), end="")
        return
    rows = [
        {"model": name, "weights": name in checkpoint_names()} | jsonlib.loads(header.to_json())
        for name, header in headers.items()
    ]
    if reference.is_installed():
        of_dlib = {"data": "dlib's own, see its documentation", "metrics": {}}
        rows.append({"model": reference.NAME, "weights": True} | of_dlib)
    if json:
        print(jsonlib.dumps(rows))
        return
    print(f"{'model':<26}{'backbone':<14}{'loss':<24}{'LFW':>8}{'TAR@FAR=0.01':>14}")
    for row in rows:
        recipe, lfw = row.get("recipe", {}), row["metrics"].get("lfw_view2")
        values = (lfw["accuracy"], lfw["tar_at_far"].get("0.01")) if lfw else (None, None)
        figures = ["-" if value is None else f"{value:.4f}" for value in values]
        backbone, loss = recipe.get("backbone", "dlib ResNet"), recipe.get("loss", "metric")
        called = row["model"] + ("" if row["weights"] else " *")
        print(f"{called:<26}{backbone:<14}{loss:<24}{figures[0]:>8}{figures[1]:>14}")
