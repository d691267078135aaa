"""Lesson plans, worksheet and tour: every link opens what it says, every number of the key is measured."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import gradio as gr
import pytest
from torch import nn

from facelab.lessons import calibration, code_diff, loss_curves, smoothing, space, transfer
from facelab.models import checkpoint
from facelab.models.losses import build_loss
from facelab.models.zoo import find_checkpoint
from facelab.plots.transfer import summary
from facelab.ui.links import LinkedTab, legal_value, open_link

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {name: (DOCS / name).read_text("utf-8") for name in ("instructors.md", "worksheet.md")}
LINKED = [
    *PAGES.values(),
    *(path.read_text("utf-8") for path in (DOCS / "tour.md", DOCS.parent / "README.md")),
]
LINKS = sorted({link for page in LINKED for link in re.findall(r"\((http://127\S+?)\)", page)})
KEY = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGES["instructors.md"].partition("## Answer key")[2], re.M))


@pytest.fixture(scope="module")
def page(whole_page) -> tuple[list[LinkedTab], set[str]]:
    """Every tab of the page with its settings, and the ids that a link may name."""
    app, linked, _ = whole_page
    return linked, {block.elem_id for block in app.blocks.values() if block.elem_id}


@pytest.fixture(scope="module")
def tabs(page) -> list[LinkedTab]:
    return page[0]


def test_there_are_links_to_every_tab(tabs):
    assert {dict(parse_qsl(urlsplit(link).query))["tab"] for link in LINKS} == {tab.name for tab in tabs}


def test_a_link_into_the_losses_opens_the_section_of_its_settings():
    """The sections are folded but the first: without it the page would show another loss."""
    for link in LINKS:
        wanted = dict(parse_qsl(urlsplit(link).query))
        if wanted["tab"] == "losses" and len(wanted) > 1:
            assert wanted["open"].startswith("losses-") and "at" in wanted, link


@pytest.mark.parametrize("link", LINKS)
def test_a_link_opens_its_tab_and_sets_all_it_names(page, link):
    tabs, ids = page
    assert urlsplit(link)[:3] == ("http", "127.0.0.1:7860", "/")
    wanted = dict(parse_qsl(urlsplit(link).query))
    assert {wanted.pop(name) for name in ("open", "at") if name in wanted} <= ids
    (tab,) = (tab for tab in tabs if tab.name == wanted["tab"])
    legal = {name: legal_value(tab.controls[name], text) for name, text in wanted.items() if name != "tab"}
    assert None not in legal.values(), f"{link} names a value that the tab does not offer"
    opened, *values = open_link(tabs, wanted)
    names = [(one.name, name) for one in tabs for name in one.controls]
    changed = {key: value for key, value in zip(names, values, strict=True) if value != gr.skip()}
    starts = {name: control.value for name, control in tab.controls.items()}
    assert opened.selected == tab.name
    assert changed == {(tab.name, name): v for name, v in legal.items() if v != starts[name]}


def percent(*values: float) -> list[str]:
    return [f"{100 * value:.1f}%" for value in values]


def lesson(name: str) -> list[str]:
    """Mean confidence, accuracy and ECE of a checkpoint's lesson."""
    found = calibration.load(calibration.FOLDER / f"{name}.npz")
    confidence = found.confidence[found.nearest(1.0)].mean()
    confidence, accuracy, ece = percent(confidence, found.accuracy(), found.reliability().ece())
    return [confidence, accuracy, f"ECE {ece}"]


def thresholds() -> list[str]:
    points = checkpoint.describe(find_checkpoint("softmax")).operating_points
    rates = [(points.threshold_for(far), points.frr_for(far)) for far in (0.01, 0.001)]
    return [text for t, frr in rates for text in (f"{t:.3f}", *percent(frr))] + [f"{points.genuine_pairs:,}"]


def unseen() -> list[str]:
    found = {name: space.load(name).unseen.figures for name in ("softmax", "center")}
    rows = [f"{name} {f.intra:.1f}°, {f.inter:.1f}°, {percent(f.eer)[0]}" for name, f in found.items()]
    measured = found["softmax"]
    return [*rows, f"{measured.photos:,} photos of {measured.people}"]


def triplet() -> list[str]:
    found = loss_curves.one_triplet(loss_curves.on_circle([30, 100, 65]), 0.2)
    numbers = (found.positive, found.negative, found.loss)
    return [*(f"{number:.3f}" for number in numbers), found.kind]


def by_hand() -> list[str]:
    target = ", ".join(f"{y:.4f}" for y in smoothing.targets(3, 0.1))
    one_hot, smoothed = (smoothing.step([10.0, 0.0, 0.0], alpha).loss for alpha in (0, 0.1))
    return [f"[{target}]", f"{smoothing.optimal_gap(3, 0.1):.2f}", f"{one_hot:.4f}", f"{smoothed:.4f}"]


def overfit() -> list[str]:
    names = ("overfit", "overfit_smoothing_003", "overfit_smoothing_010")
    eers = [f"EER {percent(calibration.load(calibration.FOLDER / f'{n}.npz').eer)[0]}" for n in names]
    return [text for name, eer in zip(names, eers) for text in (*lesson(name), eer)]


def temperature() -> list[str]:
    found = calibration.load(calibration.FOLDER / "overfit.npz")
    eces = percent(found.reliability().ece(), found.reliability(found.fitted).ece())
    return [f"{found.fitted:.2f}", *eces]


def cost() -> list[str]:
    plain, grouped = (nn.Conv2d(128, 128, 3, bias=False, groups=g).weight.numel() for g in (1, 32))
    lines = [code_diff.written(name) for name in ("resnext50_32x4d", "se_resnet50", "regnet_x_400mf")]
    weights = sum(p.numel() for p in build_loss("softmax", 512, 7000, {"bias": False}).parameters())
    counted = [f"{name} {n}" for name, n in zip(("ResNeXt", "SENet", "RegNet"), lines)]
    return [f"{plain:,}", f"{grouped:,}", *counted, f"{weights:,}"]


def transferred() -> list[str]:
    outcomes = transfer.load()
    starts = ("scratch", "ImageNet, frozen", "ImageNet, whole", "faces, frozen")
    return percent(*(summary(outcomes, start)[1][0] for start in starts), 1 / 40)


def lfw() -> list[str]:
    metrics = (checkpoint.describe(find_checkpoint(name)).metrics for name in ("softmax", "arcface"))
    return percent(*(found["lfw_view2"]["eer"] for found in metrics))


ANSWERS = {
    "1": thresholds,
    "2": lambda: percent(*(1 - (1 - 0.001) ** n for n in (11, 1000))),
    "3": unseen,
    "4": triplet,
    "5": lambda: [f"{loss_curves.best_probability(s, 1000):.4f}" for s in (1, 64)],
    "6": lfw,
    "7": by_hand,
    "8": lambda: [*lesson("overfit"), *lesson("standard")],
    "9": overfit,
    "10": temperature,
    "11": cost,
    "12": transferred,
}


@pytest.mark.parametrize("question", ANSWERS)
def test_the_key_has_the_numbers_of_the_files_in_their_order(question):
    answer, at = KEY[question], 0
    for text in ANSWERS[question]():
        at = answer.find(text, at)
        assert at >= 0, f"question {question}: {text} is not in its place in {answer!r}"
        at += len(text)


def test_every_question_has_an_answer_and_the_worksheet_two_pages():
    questions = re.findall(r"^\*\*(\d+)\. ", PAGES["worksheet.md"], re.M)
    assert questions == list(KEY) == list(ANSWERS)
    assert PAGES["worksheet.md"].count("page-break-after") == 1
