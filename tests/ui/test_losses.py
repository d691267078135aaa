"""The Losses tab without a browser: its callbacks tell the truth."""

import json
import re

import gradio as gr
import numpy as np
import pytest

from facelab.lessons import loss_curves
from facelab.lessons.triplet_collapse import STEPS
from facelab.ui.losses import center as losses_center
from facelab.ui.losses import collapse as losses_collapse
from facelab.ui.losses import margins as losses_margins
from facelab.ui.losses import pairs as losses_pairs
from facelab.ui.losses import tab as losses
from facelab.ui.losses import triplets as losses_triplets
from facelab.ui.losses.drag import Circle

PAPERS = (0.5, 0.35, 4, 5)  # the papers' margins, and λ where training ends


def numbers(card):
    """Name -> text of a card's figures."""
    card = re.sub(r'<span class="fl-means".*?</span>|</?span[^>]*>', "", card)  # definitions of terms
    return {name: value for value, name in re.findall(r"<div><b>(.*?)</b>(.*?)</div>", card)}


def lines(figure):
    """Name -> y of a figure's first lines of that name."""
    return {trace["name"]: trace["y"] for trace in reversed(json.loads(figure)["data"])}


@pytest.fixture(scope="module")
def tab():
    """(controls by name, the page's configuration)."""
    with gr.Blocks() as page:
        controls = losses.build()
    return controls, page.config


def test_every_control_says_what_it_does_and_every_event_is_private(tab):
    controls, config = tab
    assert len(controls) == len({id(control) for control in controls.values()}) > 20
    assert all(re.fullmatch("[a-z]+", name) for name in controls)
    assert all(control.info and control.elem_id for control in controls.values())
    assert all(event["api_visibility"] == "private" for event in config["dependencies"])
    ids = [c["props"].get("elem_id") for c in config["components"] if c["props"].get("elem_id")]
    assert len(ids) == len(set(ids))
    primary = [c for c in config["components"] if c["props"].get("variant") == "primary"]
    assert len(primary) == 1


def test_the_margin_charts_show_the_training_curves():
    figure = json.loads(losses_margins.show(*PAPERS, 64, 1000)[0])
    drawn = {(trace["name"], trace.get("yaxis", "y")): trace["y"] for trace in figure["data"]}
    wanted = loss_curves.margin_curves(loss_curves.Margins(), 1000, losses_margins.DEGREES)
    for name, words in losses_margins.NAMES.items():
        np.testing.assert_allclose(drawn[words, "y2"], wanted[name].target, atol=1e-4)
        np.testing.assert_allclose(drawn[words, "y"], wanted[name].gradient, atol=1e-4)


def test_a_larger_margin_opens_the_gap_on_the_page():
    for margin, degrees in ((0.0, 0), (0.5, 29), (1.0, 57)):
        gap = numbers(losses_margins.show_rings(margin, 0.35, 4, 5, 2, 90)[0])["ArcFace"]
        assert gap == f"{degrees}°"


def test_rings_cover_the_circle_but_for_the_gaps():
    figure = json.loads(losses_margins.show_rings(*PAPERS, 3, 60)[1])
    widths = dict.fromkeys(losses_margins.NAMES.values(), 0.0)
    for trace in figure["data"]:
        for name, width in zip(trace.get("text", []), trace.get("width", [])):
            widths[name] += width
    owners = loss_curves.decision_regions(
        loss_curves.Margins(), np.array([30.0, 90.0, 150.0]), losses_margins.AROUND
    )
    for name, words in losses_margins.NAMES.items():
        owned = (owners[name] != loss_curves.NO_CLASS).sum() * 0.25
        assert widths[words] == pytest.approx(owned, abs=1)  # each arc ends a step short


def test_the_surest_probability_is_said_in_words():
    assert "1 in 3,679" in losses_margins.show(*PAPERS, 1, 10_000)[1]
    said = losses_margins.show(*PAPERS, 64, 10)[1]
    assert "over 99.9%" in said and "almost 0" in said


@pytest.mark.parametrize(
    ("negative", "title", "loss"),
    [(45, "✖ Hard", None), (100, "◆ Semi-hard", None), (170, "✔ Easy", "0.000")],
)
def test_the_triplet_card_names_the_kind_and_the_arrows_follow(negative, title, loss):
    card, figure = losses_triplets.show(30.0, 95.0, float(negative), 0.2)
    assert title in card
    assert (numbers(card)["loss"] == "0.000") == (loss == "0.000")
    layout = json.loads(figure)["layout"]
    assert len(layout["annotations"]) == (0 if loss else 3)
    assert layout["meta"]["degrees"] == [30.0, 95.0, negative]


def test_the_ring_says_of_every_place_what_a_negative_would_be_there():
    figure = json.loads(losses_triplets.show(0.0, 60.0, 200.0, 0.5)[1])
    for trace in figure["data"][:3]:
        kind = trace["name"].removesuffix(" negative")
        count = 0
        for i in set(range(72)) - {12, 60}:  # where it lies as far as the positive, rounding decides
            if loss_curves.one_triplet(loss_curves.on_circle([0.0, 60.0, 5.0 * i]), 0.5).kind == kind:
                assert trace["x"][i] == pytest.approx(1.2 * np.cos(np.deg2rad(5 * i)))
                count += 1
        assert count <= sum(x is not None for x in trace["x"]) <= count + 5  # and it joins its neighbors


def test_counts_of_the_anchors_triplets_add_up():
    card, _ = losses_triplets.show(*losses_triplets.START, 0.2)
    counts = {name: int(value) for name, value in numbers(card).items() if name in loss_curves.KINDS}
    positives, negatives = 1 + len(losses_triplets.SAME), 1 + len(losses_triplets.OTHERS)
    assert sum(counts.values()) == positives * negatives


def test_the_circles_handles_are_sliders_by_name():
    circle = Circle(None, "words", "here")
    for photo in ("anchor", "positive", "negative"):
        assert f'role="slider" aria-label="{photo}"' in circle.html_template
    assert "#here .fl-handles" in circle.read()


def test_the_lab_streams_collapses_and_is_fixed(monkeypatch, collapsing):
    monkeypatch.setattr(losses_collapse, "FRAME", 0)
    bad = list(losses_collapse.run("hard", 0.1, 50, collapsing))
    good = list(losses_collapse.run(losses_collapse.on_fix(), 0.1, 50, collapsing))
    assert len(bad) == len(good) == STEPS / losses_collapse.EVERY
    assert "Training" in bad[0][0] and "✖ Collapsed" in bad[-1][0] and "✔ Not collapsed" in good[-1][0]
    shrunk, kept = (float(numbers(run[-1][0])["mean squared distance"]) for run in (bad, good))
    assert shrunk < 0.01 < 1 < kept
    assert [len(lines(frame[1])["loss"]) for frame in bad] == list(range(4, STEPS + 1, 4))
    assert 'role="status"' not in bad[0][0] and 'role="status"' in bad[-1][0]


def test_the_lab_says_in_one_sentence_what_is_wrong():
    (frame,) = losses_collapse.run("hard", 0.0, 50, 0)
    assert "lr is 0" in frame[0] and 'role="alert"' in frame[0]


def test_heaps_apart_leave_nothing_to_do_and_a_networks_scores_are_its_own():
    apart = losses_pairs.show(losses_pairs.SLIDERS, 0.9, 0.02, 0.0, 0.02, 1.0, 0.5)[0]
    assert numbers(apart)["pairwise loss"] == "0.000" and numbers(apart)["equal error rate (EER)"] == "0.0%"
    assert "Zero gradient: 100% of impostor pairs under contrastive loss, 100% under" in apart
    mixed = losses_pairs.show(losses_pairs.SLIDERS, 0.3, 0.2, 0.3, 0.2, 1.0, 0.5)[0]
    assert float(numbers(mixed)["equal error rate (EER)"].rstrip("%")) == pytest.approx(50, abs=1)
    assert float(numbers(mixed)["overlap of distributions"].rstrip("%")) > 95


def test_a_networks_heaps_are_the_ones_in_its_header(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(losses_pairs, "find_checkpoint", lambda name: tiny_checkpoint)
    points = losses_pairs.describe(tiny_checkpoint).operating_points
    genuine, impostor = losses_pairs.scores_of("tiny", 0, 0, 0, 0)
    for scores, shares in ((genuine, points.genuine), (impostor, points.impostor)):
        middles = (np.array(points.edges[:-1]) + points.edges[1:]) / 2
        assert scores.mean() == pytest.approx((middles * shares).sum(), abs=0.01)
    assert loss_curves.separation(genuine, impostor)[0] == pytest.approx(points.eer, abs=0.02)


def test_center_loss_makes_classes_compact_and_softmax_alone_does_not():
    alone, pulled = (losses_center.pulled(weight) for weight in (0.0, 0.3))
    start = losses_center.pulled(0.0, 1)
    assert pulled.intra < alone.intra / 3 and pulled.inter > alone.inter / 2
    assert not alone.pull.any() and np.abs(start.embeddings - alone.embeddings).max() < 2
    card, formula, figure = losses_center.show(0.3, 40)
    assert numbers(card)["distance to the class center"] == f"{pulled.intra:.2f}"
    assert f"{pulled.softmax + 0.3 * pulled.center:.3f}" in formula
    drawn = [trace for trace in json.loads(figure)["data"] if trace["mode"] == "markers"]
    stars = [trace for trace in drawn if trace["name"] == "class centers"]
    np.testing.assert_allclose([trace["x"][0] for trace in stars], pulled.centers[:, 0])


def test_the_sphere_has_a_gap_that_opens_with_the_margin():
    for loss, none in (("arcface", (0.0, 0.35, 4, 5)), ("cosface", (0.5, 0.0, 4, 5))):
        figures = [losses_margins.show_sphere(*margins, loss)[1] for margins in (none, PAPERS)]
        gaps = [np.mean(np.array(json.loads(f)["data"][0]["surfacecolor"]) == 0) for f in figures]
        assert gaps[0] == 0 and 0.1 < gaps[1] < 0.9


def test_the_sphere_on_its_equator_is_the_circle():
    degrees = np.arange(0.0, 360, 3)
    around = np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)), 0 * degrees], 1)
    found = loss_curves.sphere_regions(loss_curves.Margins(), losses_margins.THREE, around)
    plane = loss_curves.decision_regions(loss_curves.Margins(), np.array([90.0, 210.0, 330.0]), degrees)
    for name in loss_curves.COMPARED:
        assert (found[name] == plane[name]).mean() > 0.98  # but for ties at a border


def test_one_loss_is_shown_unless_all_are_compared():
    for every, names in ((False, {"softmax", "CosFace"}), (True, set(losses_margins.NAMES.values()))):
        curves = losses_margins.show(*PAPERS, 64, 1000, "cosface", every)[0]
        assert set(lines(curves)) == names
        card = losses_margins.show_rings(*PAPERS, 2, 90, "cosface", every)[0]
        assert set(numbers(card)) == names
    shown = losses_margins.on_which("a_softmax", False)
    assert [update["visible"] for update in shown] == [False, False, True, True]


def test_sections_stand_in_the_lectures_order():
    order = [title.split(" · ")[1].split()[0] for title in losses.SECTIONS]
    assert order == ["Center", "Triplets:", "Collapse:", "Margins:", "Pairs:"]
