"""The Compare tab without a browser: what its callbacks answer, and the pieces that tabs share."""

import inspect
import re
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from facelab.evaluation.results import architectures
from facelab.metrics.identification import DirCurve
from facelab.plots.scores import identification_curve
from facelab.recognition.embedder import load, model_names
from facelab.recognition.reference import NAME as REFERENCE
from facelab.recognition.verify import DEFAULT_FAR, judge, score_faces
from facelab.recognition.verify import compare as compare_photos
from facelab.ui import serve_plotly
from facelab.ui.compare import heat
from facelab.ui.compare import tab as compare
from facelab.ui.identify import tab as identify
from facelab.ui.widgets import cards, controls
from facelab.ui.widgets.chart import HEAD, LIBRARIES
from facelab.ui.widgets.current import Shown
from facelab.ui.widgets.examples import example_pairs
from facelab.ui.widgets.photo_input import PhotoInput


@pytest.fixture(scope="module")
def pair():
    return compare.outcome(*example_pairs()["One person, twice"], "resnet_softmax", 2.0)[0]


def test_what_the_page_shows_agrees_with_the_core():
    pair, card, figure, *_ = compare.outcome(*example_pairs()["One person, twice"], model_names()[0], 2.0)
    verdict = judge(load(pair.model), pair.score, 0.01)
    assert f"{verdict.score:.3f}" in card and f"{verdict.threshold:.3f}" in card
    assert [shape.x0 for shape in figure.layout.shapes] == [verdict.threshold, verdict.score]
    assert sum(figure.data[0].y) == pytest.approx(100, abs=0.1) == sum(figure.data[1].y)


def test_every_door_decides_at_one_rate_and_the_opening_pair_lies_near_it(whole_page):
    """One default false-accept rate for both tabs, the endpoints and the command line."""
    assert (
        10.0**-controls.STRICTNESS
        == DEFAULT_FAR
        == inspect.signature(compare_photos).parameters["far"].default
    )
    app = whole_page[0]
    sliders = [
        block for block in app.blocks.values() if block.elem_id in ("strictness", "identify-strictness")
    ]
    numbers = [block for block in app.blocks.values() if getattr(block, "label", "") == "False-accept rate"]
    assert [slider.value for slider in sliders] == [controls.STRICTNESS] * 2
    assert [number.value for number in numbers] == [DEFAULT_FAR]
    pair = compare.outcome(*next(iter(example_pairs().values())), model_names()[0], 3.0)[0]
    embedder = load(pair.model)
    assert {judge(embedder, pair.score, far).same for far in (0.1, 0.01, DEFAULT_FAR)} == {True, False}


def test_an_event_without_a_progress_mark_reports_to_one_invisible_component(whole_page):
    """The browser's work for each event grows with the components that events report to."""
    quiet = [event for event in whole_page[0].fns.values() if event.show_progress == "hidden"]
    assert len(quiet) > 50
    reached = {block for event in quiet for block in event.show_progress_on}
    assert [block.visible for block in reached] == [False]


def test_slider_runs_no_network(monkeypatch):
    pair = compare.outcome(*example_pairs()["Two people"], model_names()[0], 2.0)[0]
    monkeypatch.setattr(compare, "score_faces", lambda *_: pytest.fail("the slider embedded again"))
    scores = {"resnet_softmax": pair.score}
    loose, strict = (compare.on_strictness(pair, scores, s) for s in (1.0, 4.0))
    assert loose[0] != strict[0] and loose[2] != strict[2]  # the verdict, and every model's
    assert compare.on_strictness(None, None, 3.0) == [gr.skip()] * 4


def test_text_from_outside_is_escaped():
    assert "<script>" not in cards.problem("<script>alert(1)</script>")


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(1.0, "over 99.9%"), (0.9994, "over 99.9%"), (0.5, "50.0%"), (0.0, "under 0.1%")],
)
def test_no_probability_is_shown_as_certain(probability, shown):
    assert cards.percent(probability) == shown


def test_pictures_on_the_page_are_data_and_not_files():
    pair = compare.outcome(*example_pairs()["Two people"], model_names()[0], 2.0)[0]
    html = cards.found_card(pair.a, 0, "Photo A") + cards.inputs_of([pair.a.faces[0].crop] * 2)
    assert html.count('src="data:image/jpeg;base64,') == 3 and "file=" not in html


@pytest.mark.parametrize("tab", [compare, identify])
def test_without_the_reference_a_tab_works_and_says_so(tab, monkeypatch):
    monkeypatch.setattr("facelab.recognition.reference.is_installed", lambda: False)
    with gr.Blocks() as app:
        tab.build()
    texts = [block.value for block in app.blocks.values() if isinstance(block, gr.Markdown)]
    assert controls.WITHOUT_REFERENCE in texts


def test_plotly_is_served_from_the_package():
    serve_plotly()
    for address in LIBRARIES.values():
        assert address in HEAD and "http" not in address and address[0] != "/"  # nor from the root of a host
        assert Path(address.split("file=")[1]).is_file()


def test_photo_input_hands_on_an_unreadable_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    bad = tmp_path / ("a" * 64) / "bad.jpg"
    bad.parent.mkdir()
    bad.write_bytes(b"")
    with gr.Blocks():
        field = PhotoInput("Photo A", "x", Image.fromarray(np.zeros((50, 50, 3), np.uint8)))
    payload = field.data_model(path=str(bad), orig_name="bad.jpg")
    assert field.preprocess(payload) == str(bad) and field.preprocess(None) is None


def test_an_opening_picture_reaches_the_button_unchanged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    with gr.Blocks():
        field = PhotoInput("Photo A", "x", Image.fromarray(pixels))
    assert (np.asarray(Image.open(field.value["path"])) == pixels).all()


def test_every_model_is_judged_at_its_own_threshold(pair):
    scores, table, figure, _ = compare.explain(pair, 2.0)
    assert list(scores) == model_names()
    for name in scores:
        score = score_faces(load(name), pair.a, pair.b)
        verdict = judge(load(name), score, 0.01)
        row = re.search(rf"<th scope=.row.>{name}</th>(.*?)</tr>", table).group(1)
        assert f"{score:.3f}" in row and f"{verdict.threshold:.3f}" in row and f"{verdict.frr:.1%}" in row
        assert ("✔ same" in row) == verdict.same
        thresholds, shown = figure.data[-2:]
        i = thresholds.y.index(name)
        assert thresholds.x[i] == verdict.threshold
        assert shown.x[i] == pytest.approx(score)
        assert shown.marker.symbol[i] == ("circle" if verdict.same else "x")


def test_networks_trained_alike_stand_apart_and_last(pair):
    _, table, figure, _ = compare.explain(pair, 2.0)
    above, below = table.split(cards.NETWORKS)
    networks = [name for name in model_names() if name in architectures()]
    assert re.findall(r'row">(\w+)</th>', below) == networks == list(figure.data[-1].y[-len(networks) :])
    assert len(networks) == 12 and ">strong</th>" in above and ">reference</th>" not in below
    said = {name: label for label, name in controls.model_choices(["softmax", "vgg", REFERENCE])}
    assert said == {
        "softmax": "softmax",
        "vgg": "vgg: softmax, 8 epochs",
        REFERENCE: f"{REFERENCE}: dlib ResNet",
    }


def test_a_model_without_thresholds_stands_in_the_table_with_its_score_and_is_explained(monkeypatch):
    """As an ONNX embedder that a visitor brought, which comes without thresholds."""
    judge = compare.judge

    def refuse(embedder, score, far):
        if embedder.name != "softmax":
            return judge(embedder, score, far)
        raise ValueError(f"{embedder.name} has no thresholds yet; measure them")

    monkeypatch.setattr(compare, "judge", refuse)
    table, figure = compare.show_scores({"softmax": 0.12345, "resnet_softmax": 0.5}, 2.0)
    rows = dict(re.findall(r'row">(\w+)</th>(.*?)</tr>', table))
    assert "no threshold<" in rows["softmax"] and "0.123" in rows["softmax"]
    assert "✔" not in rows["softmax"] and "✖" not in rows["softmax"] and "of 1 models accept" in table
    assert "softmax has no thresholds yet; measure them." in table and "Values of 2 models" in table
    assert list(figure.data[-1].y) == ["resnet_softmax"]


def test_the_maps_on_the_page_sum_to_the_score(pair):
    html = heat.why(pair)
    sums = [float(x) for x in re.findall(r"<b>(-?[\d.]+)</b>", html)]
    assert sums == pytest.approx([pair.score] * 3, abs=1e-4)
    for svg in re.findall(r"<svg.*?</svg>", html):
        cells = [int(x.replace("−", "-")) for x in re.findall(r">(−?\d+)</text>", svg)]
        assert sum(cells) / 1000 == pytest.approx(pair.score, abs=0.0005 * len(cells))
        for cell, fill in zip(cells, re.findall(r'fill="(#\w+)"', svg), strict=True):
            assert cell == 0 or fill == (heat.ADDS if cell > 0 else heat.TAKES)


def test_a_score_is_decomposed_when_that_is_asked_for_and_not_before(pair, monkeypatch):
    made = []
    monkeypatch.setattr(heat, "cosine_maps", lambda *_: made.append(1) or [np.ones((2, 2))] * 2)
    *_, offer = compare.explain(pair, 2.0)
    assert heat.OFFER in offer and not made
    shown = Shown()
    assert "Score decomposition" in compare.on_why(pair, shown) and made
    assert compare.EMPTY in compare.on_why(None, shown)
    shown.note(model="another")
    assert compare.on_why(pair, shown) == gr.skip()  # it came too late


def test_the_reference_has_no_map_and_the_page_says_why(pair):
    reference = compare.Pair(pair.a, pair.b, 0, 0, REFERENCE, 0.5)
    assert "embeddings only" in heat.why(reference) and "<svg" not in heat.why(reference)


@pytest.mark.parametrize(("value", "shown"), [(0.1234, "123"), (-0.0123, "−12"), (-0.0001, "0"), (0.0, "0")])
def test_thousandths_have_a_true_minus(value, shown):
    assert heat.signed(value) == shown


def test_new_photos_clear_every_answer():
    first = compare.on_new_photo()
    assert first[0] is None and first[7] is None and len(first) == 11
    assert compare.EVERY_MODEL in first[8] and first[10] == ""


def test_the_identification_curve_is_drawn_in_percent_with_the_threshold_in_use():
    curve = DirCurve(np.array([np.inf, 0.9, 0.5]), np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.5, 1.0]))
    figure = identification_curve(curve, 0.0, 0.5)
    assert list(figure.data[0].y) == [0, 50, 100] and list(figure.data[1].y) == [50]
