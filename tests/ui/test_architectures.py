"""The Architectures tab without a browser: what it says of a network, its code, its cost and its maps."""

import base64
import html
import io
import json
import re
from itertools import pairwise

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from facelab.lessons.code_diff import changes
from facelab.lessons.family_tree import LIMIT, Budget, Score, costs, lanes, papers
from facelab.models.backbones import BACKBONES
from facelab.plots.architectures import cost_scatter, family_tree
from facelab.ui.architectures import cards as architectures_cards
from facelab.ui.architectures import feature_maps as architectures_maps
from facelab.ui.architectures import tab as architectures
from facelab.ui.architectures.blocks import blocks_card
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.sheet import GAP, sheet


def lines(diff, kind):
    """The text of the kept, old or new lines of a diff, without mark."""
    found = re.findall(rf'<span class="fl-{kind}">. (.*?)</span>', diff)
    return tuple(html.unescape(re.sub(r"</?b>", "", line)) for line in found)


@pytest.mark.parametrize("name", ["resnext50_32x4d", "se_resnet50", "densenet121", "resnet_face"])
def test_a_diff_holds_both_versions_whole(name):
    for part in changes(name):
        diff = architectures_cards.diff_lines(part.before, part.after)
        assert len(lines(diff, "new")) == part.written
        for kinds, whole in (("kept|old", part.before), ("kept|new", part.after)):
            assert lines(diff, f"(?:{kinds})") == whole


def test_only_the_words_that_differ_are_underlined_and_all_is_escaped():
    diff = architectures_cards.diff_lines(("a = x // 4  # <b>",), ("a = x // 2  # <b>",))
    assert re.findall("<b>(.*?)</b>", diff) == ["4", "2"] and diff.count("&lt;b&gt;") == 2


def test_the_card_says_what_the_table_says():
    card = architectures_cards.network_card("se_resnet50", {"se_resnet50": 12.34, "alexnet": 1.0})
    row, cost = BACKBONES["se_resnet50"], costs()["se_resnet50"]
    assert row.change in card and row.paper in card and f"{row.published_parameters:,}" in card
    assert f"{cost.parameters / 1e6:.2f} M" in card and f"{cost.macs / 1e6:,.0f} M" in card
    assert "12.3 ms" in card and "alexnet 1.0 ms" in card and "not trained yet" in card


def test_a_trained_network_shows_what_all_had_and_its_best(monkeypatch):
    rows = {"vgg_face": (Score("ours", 0.8421, "arcface", 8, True), Score("more", 0.88, "center", 16, False))}
    monkeypatch.setattr(architectures_cards, "scores", lambda: rows)
    card = architectures_cards.network_card("vgg_face", {})
    assert card.index("LFW, ours: arcface, 8 epochs") < card.index("LFW, more: center, 16 epochs")
    assert "84.2%" in card and "88.0%" in card
    assert "not trained yet" in architectures_cards.network_card("alexnet", {})


@pytest.mark.parametrize(
    ("name", "claim", "count"), [("resnext_face", 3, 2), ("se_resnet50", 20, 11), ("regnet_y_400mf", 10, 11)]
)
def test_the_claim_stands_beside_the_count(name, claim, count):
    card = architectures_cards.code_card(name)
    assert f"about {claim} changed lines" in card and f"<b>{count}</b>" in card
    assert "The course says" not in architectures_cards.code_card("densenet121")


@pytest.mark.parametrize("name", BACKBONES)
def test_every_network_has_a_page(name):
    tree, card, blocks, code, scatter = architectures.show(name, {}, "parameters")
    assert name in card and name in blocks and name in code and json.loads(tree) and json.loads(scatter)


def test_a_block_stands_beside_its_parents_at_one_scale():
    card = blocks_card("mobilenet_v2")
    assert "inverted bottleneck; mobilenet_v1 has a depthwise separable block" in card
    assert card.count("<svg") == 2 and blocks_card("alexnet").count("<svg") == 1
    assert "64 to 384 channels by 1×1 conv; 384 to 384 channels by 3×3 depthwise" in card
    shapes = re.findall(r'<polygon class="" points="([^"]+)"', blocks_card("resnet50").split("<svg")[2])
    widths = [[float(point.split(",")[0]) for point in shape.split()] for shape in shapes]
    outer, inner = (widths[0][i] - widths[0][-1 - i] for i in (0, 1))
    assert outer == pytest.approx(4 * inner, abs=0.5)  # the bottleneck of a quarter


def test_the_tree_marks_the_chosen_and_its_line():
    edges, strong, nodes = json.loads(family_tree("nfnet_f0"))["data"]
    assert edges["x"].count(None) == len(papers()) and strong["x"].count(None) == 5
    star = nodes["marker"]["symbol"].index("star")
    assert nodes["text"][star] == "<b>NFNet</b>" and nodes["marker"]["symbol"].count("star") == 1
    assert (nodes["x"][star], nodes["y"][star]) == (2021, lanes()["NFNet"])
    assert nodes["text"][0] == "LeNet" and len(nodes["text"]) == len(papers()) + 1


def test_the_scatter_shows_every_network_or_those_with_a_score():
    found = {"vgg_face": (Score("a", 0.9, "arcface", 8, True), Score("b", 0.95, "softmax", 16, False))}
    paper, compact, chosen = json.loads(cost_scatter(costs(), found, "vgg_face", False))["data"]
    assert len(paper["x"]) + len(compact["x"]) == len(BACKBONES) and len(chosen["x"]) == 1
    assert chosen["y"] == [costs()["vgg_face"].parameters / 1e6]
    assert (chosen["text"], chosen["customdata"]) == (["VGG"], ["vgg_face"])
    paper, compact, chosen = json.loads(cost_scatter(costs(), found, "alexnet", True))["data"]
    assert (paper["x"], chosen["x"]) == ([], []) and compact["y"] == [90.0]


def test_the_scatter_names_networks_without_hovering():
    figure = json.loads(cost_scatter(costs(), {}, "resnet50", False))
    written = [note["text"] for note in figure["layout"]["annotations"]]
    named = {
        name for trace in figure["data"][:2] for name, text in zip(trace["customdata"], trace["text"]) if text
    }
    assert sorted([*written, *named]) == sorted(BACKBONES)
    crowd = [note for note in figure["layout"]["annotations"] if note["ax"] > 0]
    ends = sorted(-note["y"] * 292 / 2.35 + note["ay"] for note in crowd)
    assert min(b - a for a, b in pairwise(ends)) > 12  # no two names on one line


def test_with_scores_every_network_is_named_once_and_neighbors_in_height_on_two_sides():
    found = {
        f"{name}_face": (Score(name, y, "softmax", 8, True),) for name, y in (("vgg", 0.8), ("nfnet", 0.9))
    }
    _, compact, chosen = json.loads(cost_scatter(costs(), found, "vgg_face", True))["data"]
    assert (compact["mode"], chosen["mode"]) == ("markers+text", "markers")
    assert dict(zip(compact["text"], compact["textposition"])) == {
        "VGG": "bottom center",
        "NFNet": "top center",
    }


@pytest.mark.parametrize(("head", "words"), [(0, "✔ Fits: 0.00 M left"), (10_000, "✖ Too large by 0.01 M")])
def test_the_meter_judges_at_the_limit(head, words):
    card = architectures_cards.budget_card(Budget(LIMIT - 5_000_000, 5_000_000, head))
    assert words in card
    widths = [float(w) for w in re.findall(r"width:([\d.]+)%", card)]
    limit = float(re.search(r"left:([\d.]+)%", card)[1])
    assert sum(widths) == pytest.approx(limit * (LIMIT + head) / LIMIT, abs=0.05) and max(limit, 99) < 100


def test_speed_is_measured_once_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(architectures, "latency", lambda name: 7.25)
    before = {"alexnet": 1.0}
    measured, card = architectures.measure("vgg_face", before)
    assert measured == {"alexnet": 1.0, "vgg_face": 7.25} and before == {"alexnet": 1.0}
    assert "7.2 ms" in card


def test_maps_of_the_example_and_of_a_bad_photo(tiny_checkpoint, tmp_path):
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    shown = architectures_maps.stages_card(
        crop, architectures_maps.maps_of(str(tiny_checkpoint), crop), "<b>x"
    )
    assert shown.count("fl-sheet") == 5 and "256 maps of 4×4" in shown and "<b>x" not in shown
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    answer = architectures_maps.show(str(bad), str(tiny_checkpoint))
    assert "fl-problem" in answer and "The photo" in answer and str(tmp_path) not in answer


def test_without_a_checkpoint_the_maps_say_how_to_get_one(monkeypatch):
    monkeypatch.setattr(architectures_maps, "checkpoint_names", list)
    with gr.Blocks() as app:
        assert architectures_maps.section() == {}
    assert any("python -m facelab train" in str(getattr(b, "value", "")) for b in app.blocks.values())


def test_a_sheet_tiles_its_maps_and_hatches_what_is_hidden():
    maps = np.arange(5 * 14 * 14, dtype=np.float32).reshape(5, 14, 14)
    hidden = np.zeros((5, 14, 14), bool)
    hidden[0, 0, 0] = True
    content = base64.b64decode(sheet(maps, "", hidden, columns=3).split("base64,")[1].split('"')[0])
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")).astype(int)
    assert pixels.shape == (2 * 56 + GAP, 3 * 56 + 2 * GAP, 4)
    cell = pixels[:4, :4, :3]
    assert set(np.unique(cell)) == {20, 235} and (pixels[56 + GAP :, 2 * (56 + GAP) :, 3] == 0).all()
    low, high = pixels[56 + GAP, 0, :3], pixels[56 + GAP + 55, 55, :3]  # of the fourth map
    assert low.sum() < high.sum() and pixels[20, 56 + 1, 3] == 0


def test_the_tab_opens_finished_and_hides_its_events(monkeypatch):
    monkeypatch.setattr(architectures_maps, "show", lambda photo, model: "maps")
    with gr.Blocks() as app:
        controls = architectures.build()
    assert list(controls)[:5] == ["network", "up", "groups", "neck", "dim"]
    assert all(fn.api_visibility == "private" for fn in app.fns.values())
    charts = [block for block in app.blocks.values() if isinstance(block, Chart)]
    assert len(charts) == 3 and all(chart.value for chart in charts)
    for control in controls.values():
        assert control.info and control.label
