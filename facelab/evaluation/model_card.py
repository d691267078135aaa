"""Model card of the checkpoints, written from their headers alone, so that both agree.

Runs that differ in their seed only are one row, with the mean and the standard deviation of their figures.
Training data, uses to avoid and failures follow, as in a model card (Mitchell et al. 2019, arXiv:1810.03993).
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from facelab.evaluation.conditions import subset_rows
from facelab.models.checkpoint import Header
from facelab.models.recipe import Recipe
from facelab.models.recipes import RECIPES

TEST = "lfw_view2"
VARIED = ("rotate", "zoom", "shift", "jitter", "saturation", "gray", "random_erasing")  # fields of a recipe
FARS = (0.1, 0.01, 0.001, 0.0001)
ROUND = 0.05  # by how much of itself an offered rate may miss one of FARS
# Read by the Hugging Face Hub.
FRONT = """---
license: other
license_name: celeba-non-commercial-research
license_link: LICENSE
library_name: facelab
pipeline_tag: image-feature-extraction
datasets:
- celeba
tags:
- face-recognition
- face-verification
---

"""
TITLE = """# Checkpoints

Written by `python -m facelab models --markdown` from the headers of the files; do not edit. Accuracy, EER
and TAR@FAR are LFW view 2: all 6,000 pairs from the raw photos, through our own detection and alignment,
flip-averaged. Nothing was chosen by them: thresholds come from the set named under "calibrated on".
Of runs marked \\* only the figures are here; `python -m facelab train NAME` repeats them. Several names in
a row are runs that differ in their seed alone: mean ± standard deviation over them. Epochs joined by a + are
stages, each initialized with the weights of the one before. "Options" is what a row adds to the loss, or
leaves out of the standard recipe (weight decay, flips, other data augmentation).
"""
COLUMNS = """| model | network | loss | options | epochs | accuracy | EER | TAR@FAR=0.01 |
|---|---|---|---|---|---|---|---|"""
CARD = """
## License, intended use and limits

- **Data.** Up to three archives of aligned CelebA crops: celeba112 (444 identities, 11,730 crops, color),
  celeba_grey112 (262, 7,618, gray) and celeba_more112 (741, 13,566, color, none of them in LFW); each row
  says which it was trained on. CelebA is for non-commercial research only, and its images may not be
  redistributed; none are in these files. Some of its folders hold a wrong face, and about 1 in 150 of the
  identities of the first two archives also occurs in LFW under their name; which flatters them slightly.
  Measured on LFW (free for research with credit).
- **Teacher.** A model whose recipe names a teacher is distilled from dlib's network (public domain), which
  its author trained on about 3 million faces: its accuracy is not due to its own photos alone. `blends` are
  synthetic (blended) faces, each joined from two of the photos.
- **Intended use.** Research and teaching. Not for identifying people without their consent, not for
  surveillance, and not for deciding anything about a person.
- **Limits.** CelebA and LFW show celebrities, mostly adult and facing the camera. Identities that are rare
  there are recognized less well than the figures say; the photos carry no labels that would tell by how much.
  Profiles, children, and small or blurred faces have higher error rates as well.
- **Form.** `.safetensors`: weights in fp16, and a header with recipe, figures, thresholds and score
  histograms. `facelab.load(name)` rebuilds the network; nothing is unpickled.
"""
POINTS = """
### FRR by FAR

False reject rate (FRR) at the threshold of a false accept rate (FAR), on the set on which the model is
calibrated. A rate is given where at least ten impostor pairs lie above its threshold.

| model | FAR 10% | FAR 1% | FAR 0.1% | FAR 0.01% | genuine pairs | impostor pairs | set |
|---|---|---|---|---|---|---|---|"""
SUBSETS = """
### Errors by pose, light, blur and size

LFW view 2: its pairs in thirds, by the harder of the two photos, at the threshold of FAR 1% on the set above.
`python -m facelab evaluate NAME --subsets` measures it; `facelab/evaluation/conditions.py` defines them.

| model | condition | FRR: easiest | middle | hardest | FAR: easiest | middle | hardest | pairs per third |
|---|---|---|---|---|---|---|---|---|"""


def model_card(headers: Mapping[str, Header], shipped: Collection[str]) -> str:
    """Return the model card in Markdown.

    Args:
        headers: headers by name, in the order of the table.
        shipped: names of the models with weights; the others have figures only.
    """
    called = {name: f"`{name}`" + ("" if name in shipped else "\\*") for name in headers}
    rows = [
        _row([called[name] for name in names], [headers[name] for name in names])
        for names in _by_recipe(headers)
    ]
    told = defaultdict(list)
    for name, header in headers.items():
        told[details(header)].append(called[name])
    sources = [f"- {', '.join(names)}: {said}." for said, names in told.items()]
    return FRONT + "\n".join(
        [TITLE, COLUMNS, *rows, "", *sources, CARD + error_rates(headers) + _subsets(headers)]
    )


def error_rates(headers: Mapping[str, Header]) -> str:
    """Return the section on thresholds, for the models that have some."""
    rows = []
    for name, header in headers.items():
        if points := header.operating_points:
            offered = [rate for rate in FARS if rate >= points.far[-1] * (1 - ROUND)]
            refused = [f"{points.frr_for(max(rate, points.far[-1])):.1%}" for rate in offered]
            refused += ["too few pairs"] * (len(FARS) - len(offered))
            counts = [f"{points.genuine_pairs:,}", f"{points.impostor_pairs:,}", points.source]
            rows.append(f"| `{name}` | " + " | ".join(refused + counts) + " |")
    return "\n".join([POINTS, *rows, ""]) if rows else ""


def _subsets(headers: Mapping[str, Header]) -> str:
    """Return the section on errors by condition, for the models with measurements."""
    rows = []
    for name, header in headers.items():
        report = header.metrics.get(TEST, {}).get("subsets", {})
        for key, (condition, rates) in zip(report, subset_rows(report)):
            thirds = report[key].values()
            pairs = [f"{min(third[kind] for third in thirds):,}" for kind in ("genuine", "impostor")]
            cells = [*(f"{rate:.1%}" for rate in rates), " + ".join(pairs)]
            rows.append(f"| `{name}` | {condition} | " + " | ".join(cells) + " |")
    return "\n".join([SUBSETS, *rows, ""]) if rows else ""


def settings_of(name: str, header: Header) -> str:
    """Return one model's row of the table, with its head."""
    return "\n".join([COLUMNS, _row([f"`{name}`"], [header])])


def _by_recipe(headers: Mapping[str, Header]) -> list[list[str]]:
    """Group names whose recipes differ in the seed alone."""
    groups = defaultdict(list)
    for name, header in headers.items():
        groups[json.dumps(header.recipe.to_dict() | {"seed": None}, sort_keys=True)].append(name)
    return list(groups.values())


def _row(names: Sequence[str], headers: Sequence[Header]) -> str:
    tests = [header.metrics[TEST] for header in headers if TEST in header.metrics]
    figures = [
        _mean([test["accuracy"] for test in tests]),
        _mean([test["eer"] for test in tests]),
        _mean([test["tar_at_far"]["0.01"] for test in tests if "0.01" in test["tar_at_far"]]),
    ]
    recipe = headers[0].recipe
    epochs = " + ".join(str(stage.epochs) for stage in stages(recipe))
    what = [", ".join(names), f"`{recipe.backbone}`", f"`{recipe.loss}`", _besides(recipe), epochs]
    return "| " + " | ".join([*what, *figures]) + " |"


def stages(recipe: Recipe) -> list[Recipe]:
    """Return a recipe and those from which it continues, as far as they are in RECIPES, the first one
    first.
    """
    before = Path(recipe.init_from).stem if recipe.init_from else None
    return [*(stages(RECIPES[before]) if before in RECIPES else ()), recipe]


def _besides(recipe: Recipe) -> str:
    """Return a recipe's regularizers, teacher and omissions as text."""
    named = {
        f"teacher, λ = {recipe.teacher_weight:g}": recipe.teacher,
        f"teacher whitened, p = {recipe.teacher_whiten:g}": recipe.teacher_whiten,
        f"loss × {recipe.loss_weight:g}": recipe.loss_weight != 1,
        f"whitened, p = {recipe.whiten:g}": recipe.whiten,
        f"unlabeled {recipe.unlabeled}": recipe.unlabeled,
        f"from `{recipe.init_from}`": recipe.init_from and len(stages(recipe)) == 1,
        f"frozen up to {recipe.freeze}": recipe.freeze,
        f"label smoothing, α = {recipe.label_smoothing or 0:g}": recipe.label_smoothing,
        f"dropout {recipe.dropout:g}": recipe.dropout,
        f"dropout on maps {recipe.drop_block:g}": recipe.drop_block and recipe.drop_block_size == 1,
        f"DropBlock {recipe.drop_block:g}": recipe.drop_block and recipe.drop_block_size > 1,
        f"stochastic depth {recipe.stochastic_depth:g}": recipe.stochastic_depth,
        f"averaged weights {recipe.ema_decay:g}": recipe.ema_decay,
        "no weight decay": not recipe.weight_decay,
        "no flips": not recipe.flip,
        "no other augmentation": not any(getattr(recipe, name) for name in VARIED),
    }
    return ", ".join(text for text, is_so in named.items() if is_so) or "–"


def _mean(values: Sequence[float]) -> str:
    """Return the mean, with the standard deviation over seeds if there are several."""
    if not values:
        return "not measured"
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def details(header: Header) -> str:
    """Return what a model was trained and calibrated on."""
    points = header.operating_points
    source = f"calibrated on {points.source}" if points else "not calibrated"
    return f"trained on {header.data}; {source}"
