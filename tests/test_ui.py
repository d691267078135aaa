"""The page without a browser: its API, its privacy, and what the callbacks answer."""

import time
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from facelab.ui import build_app, cards, compare, serve_plotly
from facelab.ui.examples import example_pairs


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The app served in this process, with uploads that expire after two seconds."""
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.setattr("facelab.ui.CACHE_SECONDS", (1, 2))
        app = build_app()
        _, url, _ = app.launch(
            prevent_thread_lock=True, quiet=True, run_history=False, ssr_mode=False, server_name="127.0.0.1"
        )
        yield Client(url, verbose=False), folder
        app.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for i, image in enumerate(example_pairs()["One person, twice"]):
        paths.append(str(folder / f"visitor-{i}.png"))
        image.save(paths[-1])
    return paths


def test_compare_endpoint_gives_the_command_line_json(page, files):
    client, _ = page
    far = 0.01
    got = client.predict(*map(handle_file, files), compare.model_names()[0], far, api_name="/compare")
    wanted = compare.compare_photos(*files, compare.model_names()[0], far)
    assert got.keys() == wanted.keys()
    assert got["score"] == pytest.approx(wanted["score"], abs=1e-4) and got["same"] == wanted["same"]


def test_only_compare_is_public(page):
    client, _ = page
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/compare"}


def test_endpoint_answers_bad_input_with_a_sentence(page, files, tmp_path):
    client, _ = page
    bad = tmp_path / "words.jpg"
    bad.write_text("not a photo")
    with pytest.raises(Exception, match=r"Photo B: .*words\.jpg is not a photo"):
        client.predict(
            handle_file(files[0]), handle_file(str(bad)), "resnet_softmax", 0.01, api_name="/compare"
        )
    for far in (0, 2, -1):
        with pytest.raises(Exception, match="false-accept rate"):
            client.predict(*map(handle_file, files), "resnet_softmax", far, api_name="/compare")


def test_uploads_are_deleted(page, files):
    client, folder = page
    client.predict(*map(handle_file, files), "resnet_softmax", 0.01, api_name="/compare")
    deadline = time.monotonic() + 30
    while any(path.name.startswith("visitor") for path in folder.rglob("*")):
        assert time.monotonic() < deadline, "an upload is still on disk"
        time.sleep(0.5)


def test_what_the_page_shows_agrees_with_the_core():
    pair, card, figure, *_ = compare.outcome(
        *example_pairs()["One person, twice"], compare.model_names()[0], 2.0
    )
    verdict = compare.judge(compare.load(pair.model), pair.score, 0.01)
    assert f"{verdict.score:.3f}" in card and f"{verdict.threshold:.3f}" in card
    assert [shape.x0 for shape in figure.layout.shapes] == [verdict.threshold, verdict.score]
    assert sum(figure.data[0].y) == pytest.approx(100, abs=0.1) == sum(figure.data[1].y)


def test_slider_runs_no_network(monkeypatch):
    pair = compare.outcome(*example_pairs()["Two people"], compare.model_names()[0], 2.0)[0]
    monkeypatch.setattr(compare, "score_faces", lambda *_: pytest.fail("the slider embedded again"))
    loose, strict = (compare.on_strictness(pair, s)[0] for s in (1.0, 4.0))
    assert loose != strict
    assert compare.on_strictness(None, 3.0) == (gr.skip(), gr.skip())


def test_text_from_outside_is_escaped():
    assert "<script>" not in cards.problem("<script>alert(1)</script>")


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(1.0, "over 99.9%"), (0.9994, "over 99.9%"), (0.5, "50.0%"), (0.0, "under 0.1%")],
)
def test_no_probability_is_shown_as_certain(probability, shown):
    assert cards.percent(probability) == shown


def test_pictures_on_the_page_are_data_and_not_files():
    pair = compare.outcome(*example_pairs()["Two people"], compare.model_names()[0], 2.0)[0]
    html = cards.sighting_card(pair.a, 0, "Photo A")
    assert html.count('src="data:image/jpeg;base64,') == 2 and "file=" not in html


def test_without_the_reference_the_page_works_and_says_so(monkeypatch):
    monkeypatch.setattr("facelab.reference.is_installed", lambda: False)
    app = build_app()
    texts = [block.value for block in app.blocks.values() if isinstance(block, gr.Markdown)]
    assert compare.WITHOUT_REFERENCE in texts


def test_plotly_is_served_from_the_package():
    serve_plotly()
    assert compare.Chart().head.count("http") == 0
    assert Path(compare.Chart().head.split("file=")[1].split('"')[0]).is_file()


def test_photo_input_hands_on_an_unreadable_file(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    with gr.Blocks():
        field = compare.PhotoInput("Photo A", "x", Image.fromarray(np.zeros((50, 50, 3), np.uint8)))
    payload = field.data_model(path=str(bad), orig_name="bad.jpg")
    assert field.preprocess(payload) == str(bad) and field.preprocess(None) is None
