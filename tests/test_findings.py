"""Every figure in docs/findings.md is that of a header or of a lesson's file."""

import re
import statistics
from pathlib import Path

import pytest

from facelab.evaluation import results as measured
from facelab.lessons import calibration

PAGE = (Path(__file__).parent.parent / "docs" / "findings.md").read_text("utf-8")
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


def tables() -> list[tuple[list[str], list[list[str]]]]:
    """(column names, rows of cells) of every table of rows."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line.strip("| ").split("|")] for line in block.splitlines()
        )
        if head[0] == "row":
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
