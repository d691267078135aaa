"""The checkpoints' page says what their headers say, and no more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facelab.cli.main import main
from facelab.evaluation.model_card import model_card
from facelab.metrics.operating import measure_operating_points
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.models.recipes import RECIPES

ROOT = Path(__file__).parents[2]


def header(accuracy: float, seed: int, loss: str = "softmax") -> checkpoint.Header:
    figures = {"accuracy": accuracy, "eer": 0.1, "tar_at_far": {"0.01": 0.5, "0.001": 0.25}}
    recipe = replace(Recipe(), seed=seed, loss=loss)
    return checkpoint.Header(recipe, 5, "somewhere: 5 identities, 50 crops", {"lfw_view2": figures})


def test_runs_that_differ_in_their_seed_are_one_row_with_mean_and_spread():
    page = model_card({"a": header(0.8, 0), "b": header(0.9, 1), "c": header(0.7, 0, "center")}, {"a", "b"})
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows[0] == (
        "| `a`, `b` | `resnet_face` | `softmax` | – | 24 | 0.8500 ± 0.0707 | 0.1000 ± 0.0000 "
        "| 0.5000 ± 0.0000 |"
    )
    assert (
        rows[1] == "| `c`\\* | `resnet_face` | `center` | – | 24 | 0.7000 | 0.1000 | 0.5000 |"
        and len(rows) == 2
    )


def test_what_was_not_measured_is_not_claimed(tiny_run):
    _, _, tiny = tiny_run
    page = model_card({"tiny": tiny}, {"tiny"})
    assert "| not measured | not measured |" in page
    assert "- `tiny`: trained on rendered faces; calibrated on normal draws." in page


def test_errors_by_subset_stand_below_where_they_were_measured():
    thirds = {
        third: {"refused": refused, "accepted": accepted, "genuine": 9 + (third == "least"), "impostor": 1200}
        for third, refused, accepted in (("least", 0.1, 0.01), ("middle", 0.2, 0.02), ("most", 0.4, 0.03))
    }
    plain = header(0.8, 0)
    figures = plain.metrics["lfw_view2"] | {"subsets": {"turned": thirds}}
    page = model_card({"a": plain, "b": replace(plain, metrics={"lfw_view2": figures})}, {"a", "b"})
    assert "| `b` | pose | 10.0% | 20.0% | 40.0% | 1.0% | 2.0% | 3.0% | 9 + 1,200 |\n" in page
    assert "| `a` | pose" not in page and "### Errors" not in model_card({"a": plain}, {"a"})


def test_stages_and_regularizers_stand_in_the_row():
    plain = header(0.8, 0)
    rows = {
        "strong": RECIPES["strong"],
        "mine": replace(plain.recipe, init_from="other.safetensors", freeze="stage2", dropout=0.2),
        "bare": replace(RECIPES["overfit_smoothing_003"], drop_block=0.1, drop_block_size=1),
        "blocks": RECIPES["drop_block_smoothing"],
    }
    page = model_card({name: replace(plain, recipe=recipe) for name, recipe in rows.items()}, rows)
    cells = [line.split(" | ")[3:5] for line in page.splitlines() if line.startswith("| `")]
    assert cells[: len(rows)] == [
        ["teacher, λ = 20, loss × 0.3, whitened, p = 0.2, unlabeled blends", "9 + 8 + 8"],
        ["from `other.safetensors`, frozen up to stage2, dropout 0.2", "24"],
        [
            "label smoothing, α = 0.03, dropout on maps 0.1, no weight decay, no flips, "
            "no other augmentation",
            "10",
        ],
        ["label smoothing, α = 0.1, DropBlock 0.1", "16"],
    ]


@pytest.mark.parametrize(("impostors", "offered"), [(130, 1), (9000, 2), (110_000, 4)])
def test_thresholds_stand_with_the_pairs_behind_them(impostors, offered):
    """A rate that fewer than ten pairs stand behind is not given."""
    rng = np.random.default_rng(0)
    points = measure_operating_points(rng.normal(3, 1, 500), rng.normal(0, 1, impostors), "a set")
    page = model_card({"a": replace(header(0.8, 0), operating_points=points)}, {"a"})
    (row,) = [line for line in page.splitlines() if line.startswith("| `a` |") and line.endswith("| a set |")]
    cells = row.strip("| ").split(" | ")
    assert cells[1 : 1 + offered] == [f"{points.frr_for(10.0**-k):.1%}" for k in range(1, 1 + offered)]
    assert cells[1 + offered : 5] == ["too few pairs"] * (4 - offered)
    assert cells[5:] == ["500", f"{impostors:,}", "a set"]


def test_the_page_begins_with_what_the_hub_reads():
    front = model_card({"a": header(0.8, 0)}, {"a"}).split("---\n")[1]
    known = dict(line.split(": ", 1) for line in front.splitlines() if ": " in line)
    assert known["license"] == "other" and known["pipeline_tag"] == "image-feature-extraction"
    assert {"license_name", "license_link", "library_name"} <= set(known)


def test_the_page_beside_the_checkpoints_is_theirs(capsys):
    assert main(["models", "--markdown"]) == 0
    assert (ROOT / "checkpoints" / "README.md").read_text("utf-8") == capsys.readouterr().out
