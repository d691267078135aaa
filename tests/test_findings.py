"""Every figure in docs/findings.md is that of a header or of a lesson's file."""

import json
import re
import statistics
from pathlib import Path

import pytest

from facelab.evaluation import results as measured
from facelab.lessons import calibration
from facelab.lessons.dropout_masks import DRAWS, drop
from facelab.recognition.feature_maps import strongest
from facelab.ui.regularization import tab as regularization

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "findings.md").read_text("utf-8")
TEST = "lfw_view2"
OF_HEADER = {
    "LFW accuracy": lambda header: header.metrics[TEST]["accuracy"],
    "LFW EER": lambda header: header.metrics[TEST]["eer"],
    "TAR@FAR=0.01": lambda header: header.metrics[TEST]["tar_at_far"]["0.01"],
    "EER, unseen identities": lambda header: header.metrics["held_out"]["eer"],
    "top-1 accuracy, held-out photos": lambda header: header.metrics["held_out"]["top_1"],
}
OF_LESSON = {
    "top-1 accuracy": lambda lesson: lesson.accuracy(),
    "mean confidence": lambda lesson: lesson.confidence[lesson.nearest(1.0)].mean(),
    "ECE": lambda lesson: lesson.reliability(1.0).ece(),
    "EER, unseen identities": lambda lesson: lesson.eer,
}


DIFFERENCES = json.loads((DOCS / "differences.json").read_text("utf-8"))


def tables(title: str = "row") -> list[tuple[list[str], list[list[str]]]]:
    """(column names, rows of cells) of every table whose first column has this title."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line.strip("| ").split("|")] for line in block.splitlines()
        )
        if head[0] == title:
            found.append((head[1:], rows))
    return found


def expected(names: list[str], column: str, of_lesson: bool) -> str:
    """The mean, and the standard deviation over seeds where there are several, in percent."""
    if of_lesson:
        values = [OF_LESSON[column](calibration.load(calibration.FOLDER / f"{name}.npz")) for name in names]
    else:
        values = [OF_HEADER[column](measured.header(name)) for name in names]
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


@pytest.mark.parametrize("table", tables(), ids=lambda table: table[1][0][0])
def test_figures_of_the_tables_are_measured(table):
    columns, rows = table
    for names, *cells in rows:
        found = re.findall(r"`(\w+)`", names)
        assert cells == [expected(found, column, "mean confidence" in columns) for column in columns], names


def test_differences_are_those_measured_and_agree_with_the_headers():
    """So that a row trained again cannot keep its old differences."""
    shown = {}
    for columns, rows in tables("difference"):
        for name, *cells in rows:
            shown[name.replace("`", "")] = dict(zip(columns, cells, strict=True))
    assert shown.keys() == DIFFERENCES["differences"].keys()
    for name, figures in DIFFERENCES["differences"].items():
        row, base = (measured.header(one) for one in name.split(" - "))
        for column, (value, low, high) in figures.items():
            assert shown[name][column] == f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]", name
            assert value == pytest.approx(OF_HEADER[column](row) - OF_HEADER[column](base), abs=1e-9), name


def test_rows_of_more_seeds_are_given_with_all_of_them():
    """A row whose second seed was measured is not quoted by its first alone."""
    for columns, rows in tables():
        for names, *_ in rows:
            found = re.findall(r"`(\w+)`", names)
            seeds = [name for name in measured.names() if re.fullmatch(rf"{found[0]}(_seed\d+)?", name)]
            assert "mean confidence" in columns or found == sorted(seeds), names


def test_every_claim_is_judged_in_the_fields_words():
    claims = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert len(claims) >= 10
    for claim in claims:
        assert len(re.findall(r"\*\*(Shown|Not shown|Refuted|Mixed|Not tested)\b", claim)) == 1, claim[:60]


def test_figures_at_a_low_false_accept_rate_are_those_of_view_1():
    names = {
        "CosFace accepts": "cosface",
        "A-Softmax": "a_softmax",
        "ArcFace": "arcface",
        "softmax": "softmax",
        "center loss": "center",
    }
    sentence = " ".join(PAGE.split()).partition("At FAR 0.1% ")[2].partition(";")[0]
    for words, name in names.items():
        tar = 1 - measured.header(name).operating_points.frr_for(1e-3)
        assert re.search(rf"\b{words} {100 * tar:.1f}\b", sentence), (name, tar)


def test_the_overfit_recipe_is_as_overconfident_as_the_sentence_says():
    lesson = calibration.load(calibration.FOLDER / "overfit.npz")
    confidence = lesson.confidence[lesson.nearest(1.0)]
    sure = (confidence > 0.8) & (confidence <= 0.9)
    assert f"({sure.sum()} photos)" in PAGE and f"{len(confidence):,} held-out photos" in PAGE
    assert f"in {100 * lesson.correct[sure].mean():.1f} " in " ".join(PAGE.split())
    assert f"{100 * (confidence.mean() - lesson.accuracy()):.0f} points" in " ".join(PAGE.split())


def told(pattern: str) -> list[str]:
    """The numbers of the one sentence that fits."""
    (found,) = re.findall(pattern, " ".join(PAGE.split()))
    return list(found)


def test_label_smoothing_moves_the_two_eers_as_the_sentence_says():
    rows = [measured.header(name) for name in ("softmax", "label_smoothing")]
    columns = (OF_HEADER["LFW EER"], OF_HEADER["EER, unseen identities"])
    falls, rises = r"LFW EER falls from (\d+\.\d) to (\d+\.\d)", r"rises from (\d+\.\d) to (\d+\.\d)\."
    numbers = told(falls + ", the EER on unseen identities " + rises)
    assert rows[0].recipe.seed == rows[1].recipe.seed
    assert numbers == [f"{100 * column(row):.1f}" for column in columns for row in rows]


def test_drop_block_classifies_as_many_photos_more_or_fewer_as_the_sentence_says():
    photos, more, fewer = told(
        r"of ([\d,]+) held-out photos DropBlock classifies (\d+) more correctly .*?, and (\d+) fewer than"
    )
    count = int(photos.replace(",", ""))
    names = ("drop_block", "dropout_maps", "softmax")
    right = [measured.header(name).metrics["held_out"]["top_1"] * count for name in names]
    assert right == pytest.approx([round(value) for value in right], abs=1e-6)
    assert [right[0] - right[1], right[2] - right[0]] == pytest.approx([int(more), int(fewer)], abs=1e-6)


def test_drop_block_with_smoothing_has_the_figures_of_its_header():
    found = measured.header("drop_block_smoothing").metrics["held_out"]
    assert told(r"as without \(ECE ([\d.]+), EER ([\d.]+) on") == [
        f"{100 * found[key]:.1f}" for key in ("ece", "eer")
    ]


def test_neighbors_explain_dropped_values_by_stage_as_the_sentence_says():
    numbers = told(r"R² ([\d.]+) in stage 3 and ([\d.]+) in stage 4, against ([\d.]+) in stage 1")
    for stage, number in zip(("stage3", "stage4", "stage1"), numbers, strict=True):
        maps = regularization.example_stages()[stage].maps
        shown = maps[strongest(maps, regularization.SHOWN)]
        draws = min(DRAWS, regularization.VALUES // shown.size)
        found = drop(shown, 0.2, 1, regularization.SEED, draws)["DropBlock"]
        assert found.told == pytest.approx(float(number), abs=0.01)
