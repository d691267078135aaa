"""The checkpoints' page says what their headers say, and no more."""

from dataclasses import replace
from pathlib import Path

from facelab import checkpoint
from facelab.card import model_card
from facelab.cli import main
from facelab.recipe import Recipe

ROOT = Path(__file__).parent.parent


def header(accuracy: float, seed: int, loss: str = "softmax") -> checkpoint.Header:
    figures = {"accuracy": accuracy, "eer": 0.1, "tar_at_far": {"0.01": 0.5, "0.001": 0.25}}
    recipe = replace(Recipe(), seed=seed, loss=loss)
    return checkpoint.Header(recipe, 5, "somewhere: 5 identities, 50 crops", {"lfw_view2": figures})


def test_runs_that_differ_in_their_seed_are_one_row_with_mean_and_spread():
    page = model_card({"a": header(0.8, 0), "b": header(0.9, 1), "c": header(0.7, 0, "center")}, {"a", "b"})
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows[0] == (
        "| `a`, `b` | `resnet_face` | `softmax` | 24 | 0.8500 ± 0.0707 | 0.1000 ± 0.0000 | 0.5000 ± 0.0000 "
        "| 0.2500 ± 0.0000 |"
    )
    assert (
        rows[1] == "| `c`\\* | `resnet_face` | `center` | 24 | 0.7000 | 0.1000 | 0.5000 | 0.2500 |"
        and len(rows) == 2
    )


def test_what_was_not_measured_is_not_claimed(tiny_run):
    _, _, tiny = tiny_run
    page = model_card({"tiny": tiny}, {"tiny"})
    assert "| not measured | not measured |" in page
    assert "- `tiny`: trained on rendered faces; calibrated on normal draws." in page


def test_errors_by_subset_stand_below_where_they_were_measured():
    thirds = {
        third: {"refused": refused, "accepted": accepted, "genuine": 9, "impostor": 9}
        for third, refused, accepted in (("least", 0.1, 0.01), ("middle", 0.2, 0.02), ("most", 0.4, 0.03))
    }
    plain = header(0.8, 0)
    figures = plain.metrics["lfw_view2"] | {"subsets": {"turned": thirds}}
    page = model_card({"a": plain, "b": replace(plain, metrics={"lfw_view2": figures})}, {"a", "b"})
    assert "| `b` | turned | 10.0% | 20.0% | 40.0% | 1.0% | 2.0% | 3.0% |\n" in page
    assert "| `a` | turned" not in page and "### Turned" not in model_card({"a": plain}, {"a"})


def test_the_page_beside_the_checkpoints_is_theirs(capsys):
    assert main(["models", "--markdown"]) == 0
    assert (ROOT / "checkpoints" / "README.md").read_text("utf-8") == capsys.readouterr().out
