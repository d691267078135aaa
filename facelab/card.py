"""The page that goes with the checkpoints, written from their headers alone, so that it cannot say what they
do not.

Runs that differ in nothing but their seed are one row, with the mean and the spread of their figures. What a
model was trained on, what it must not be used for and on whom it fails stands below, as a model card has it
(Mitchell et al. 2019, arXiv:1810.03993).
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from facelab.checkpoint import Header
from facelab.subsets import subset_rows

TEST = "lfw_view2"
TITLE = """# Checkpoints

Written by `python -m facelab models --markdown` from the headers of the files; do not edit. Accuracy, EER
and TAR@FAR are LFW view 2: all 6,000 pairs from the raw photos, through our own detection and alignment,
flip-averaged. Nothing was chosen by them: thresholds come from the set named under "calibrated on".
Of runs marked \\* only the figures are here; `python -m facelab train NAME` repeats them. Several names in
a row are runs that differ in their seed alone: mean ± standard deviation over them.

| model | network | loss | epochs | accuracy | EER | TAR@FAR=0.01 | 0.001 |
|---|---|---|---|---|---|---|---|"""
CARD = """
## Terms and limits

- **Data.** CelebA crops (non-commercial research only, images may not be redistributed; none are in these
  files). Some of its folders hold a wrong face, and about 1 in 150 of its people also occurs in LFW under
  their name, which flatters the figures slightly. Measured on LFW (free for research with credit).
- **Teacher.** A model whose recipe names a teacher also imitated vectors of dlib's network (public domain),
  which its author trained on about 3 million faces: it owes more than its own photos. `blends` are faces of
  nobody, joined from two of the photos.
- **Use.** Research and teaching. Not for identifying people without their consent, not for surveillance,
  and not for deciding anything about a person.
- **Who it fails on.** CelebA and LFW show celebrities, mostly adult and facing the camera. People who are
  rare there are recognised less well than the figures say; by how much, the photos do not tell, for they
  carry no such labels. Profiles, children, and small or blurred faces do worse as well.
- **Form.** `.safetensors`: weights in fp16, and a header with recipe, figures, thresholds and score
  histograms. `facelab.load(name)` rebuilds the network; nothing is ever unpickled.
"""
SUBSETS = """
### Turned, dark and blurred faces

LFW view 2 once more: its pairs in thirds, by the worse of the two photos, at the threshold at which 1 % of
the pairs of two people were accepted on the set named above. `python -m facelab evaluate NAME --subsets`
measures it; `facelab/subsets.py` says what turned, dark and blurred mean.

| model | | one person refused: least | middle | most | two people accepted: least | middle | most |
|---|---|---|---|---|---|---|---|"""


def model_card(headers: Mapping[str, Header], shipped: Collection[str]) -> str:
    """The page in Markdown.

    Args:
        headers: by name, in the order of the table.
        shipped: names whose weights are here; of the others only the figures are.
    """
    called = {name: f"`{name}`" + ("" if name in shipped else "\\*") for name in headers}
    rows = [
        _row([called[name] for name in names], [headers[name] for name in names])
        for names in _by_recipe(headers)
    ]
    details = defaultdict(list)
    for name, header in headers.items():
        details[_details(header)].append(called[name])
    sources = [f"- {', '.join(names)}: {said}." for said, names in details.items()]
    return "\n".join([TITLE, *rows, "", *sources, CARD + _subsets(headers)])


def _subsets(headers: Mapping[str, Header]) -> str:
    """The errors among turned, dark and blurred faces, of the models for which they were measured."""
    rows = [
        f"| `{name}` | {condition} | " + " | ".join(f"{rate:.1%}" for rate in rates) + " |"
        for name, header in headers.items()
        for condition, rates in subset_rows(header.metrics.get(TEST, {}).get("subsets", {}))
    ]
    return "\n".join([SUBSETS, *rows, ""]) if rows else ""


def _by_recipe(headers: Mapping[str, Header]) -> list[list[str]]:
    """Names whose recipes differ in the seed alone, together."""
    groups = defaultdict(list)
    for name, header in headers.items():
        groups[json.dumps(header.recipe.to_dict() | {"seed": None}, sort_keys=True)].append(name)
    return list(groups.values())


def _row(names: Sequence[str], headers: Sequence[Header]) -> str:
    tests = [header.metrics[TEST] for header in headers if TEST in header.metrics]
    figures = [
        _mean([test["accuracy"] for test in tests]),
        _mean([test["eer"] for test in tests]),
        *(
            _mean([test["tar_at_far"][far] for test in tests if far in test["tar_at_far"]])
            for far in ("0.01", "0.001")
        ),
    ]
    recipe = headers[0].recipe
    what = [", ".join(names), f"`{recipe.backbone}`", f"`{recipe.loss}`", f"{recipe.epochs}"]
    return "| " + " | ".join([*what, *figures]) + " |"


def _mean(values: Sequence[float]) -> str:
    """The mean, with the standard deviation over seeds where there are several."""
    if not values:
        return "not measured"
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def _details(header: Header) -> str:
    points = header.operating_points
    source = f"calibrated on {points.source}" if points else "not calibrated"
    return f"trained on {header.data}; {source}"
