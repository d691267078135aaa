"""Links to a tab and its settings: what an address may set, and what it may not."""

import gradio as gr
import pytest

from facelab.recognition import visit as reach
from facelab.ui import links
from facelab.ui.links import LinkedTab, legal_value, open_link
from facelab.ui.visit import ModelChoice


@pytest.fixture(scope="module")
def tabs():
    with gr.Blocks():
        first = {
            "model": gr.Radio([("A: strong", "a"), ("B", "b")], value="a"),
            "far": gr.Slider(1, 4, value=2.0),
        }
        second = {
            "far": gr.Slider(1, 4, value=3.0),
            "flip": gr.Checkbox(False),
            "bins": gr.Dropdown([5, 15], value=15),
        }
        return [LinkedTab("one", None, first), LinkedTab("two", None, second)]


def changed(tabs, **wanted):
    """(tab opened, {tab.setting: value}) of an address."""
    opened, *values = open_link(tabs, wanted)
    names = [f"{tab.name}.{name}" for tab in tabs for name in tab.controls]
    settings = {name: v for name, v in zip(names, values, strict=True) if not isinstance(v, dict)}
    return getattr(opened, "selected", None), settings


def test_a_link_sets_the_tab_and_only_its_settings(tabs):
    assert changed(tabs, tab="two", far="1.5", flip="true", bins="5") == (
        "two",
        {"two.far": 1.5, "two.flip": True, "two.bins": 5},
    )
    assert changed(tabs, tab="one", far="1.5", model="b") == ("one", {"one.model": "b", "one.far": 1.5})


def test_without_a_tab_settings_are_those_of_the_first(tabs):
    assert changed(tabs, far="4") == (None, {"one.far": 4.0})


def test_what_the_page_does_not_offer_is_left_alone(tabs):
    assert changed(tabs, tab="three", far="9", model="c", photo="x") == (None, {})
    assert changed(tabs, tab="two", far="nan", flip="yes", bins="7") == ("two", {})
    assert changed(tabs, tab="one", far="2", model="a") == ("one", {})  # their start: nothing to change


def test_a_model_of_a_visit_is_chosen_in_that_visit_and_explained_in_others(monkeypatch):
    said, name = [], "resnet_face, softmax, 1 epoch #0a1b2c"
    monkeypatch.setattr(links.gr, "Info", said.append)
    with gr.Blocks():
        tab = LinkedTab("one", None, {"model": ModelChoice(["strong", "plain"], value="strong")})
    with reach.reachable({name: reach.VisitModel(None, "")}):
        assert changed([tab], tab="one", model=name) == ("one", {"one.model": name}) and not said
    assert changed([tab], tab="one", model=name) == ("one", {}) and said == [links.GONE]
    for other in ("weak", "strong", "x" * 10**5):
        changed([tab], tab="one", model=other)
    assert len(said) == 1


@pytest.mark.parametrize(("text", "value"), [("10", 10), ("35.7", None), ("40", 40), ("45", None)])
def test_a_slider_takes_what_it_can_stand_at(text, value):
    with gr.Blocks():
        assert legal_value(gr.Slider(10, 400, value=60, step=10), text) == value
        fine = gr.Slider(1, 4, value=3, step=0.1)  # in steps that binary numbers do not hold exactly
        assert [legal_value(fine, f"{i / 10:g}") for i in range(10, 41)] == [i / 10 for i in range(10, 41)]
        assert legal_value(fine, "1.55") is None


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1.0), ("4.0", 4.0), ("0.99", None), ("inf", None), ("x", None)]
)
def test_a_slider_takes_numbers_in_its_range(tabs, text, value):
    assert legal_value(tabs[0].controls["far"], text) == value


@pytest.mark.parametrize(
    ("choices", "value", "text"),
    [
        ([False, True], True, "true"),
        ([0.0, 0.0005], 0.0, "0"),
        ([2.0, 0.00001], 0.00001, "0.00001"),
        ([5, 15], 15, "15"),
    ],
)
def test_a_choice_is_read_as_the_address_bar_writes_it(choices, value, text):
    """JavaScript writes true, 0 and 0.00001 where Python writes True, 0.0 and 1e-05."""
    with gr.Blocks():
        radio = gr.Radio([(f"choice {one}", one) for one in choices], value=choices[0])
    found = legal_value(radio, text)
    assert found == value and type(found) is type(value)
    assert legal_value(radio, "7") is legal_value(radio, "yes") is None
