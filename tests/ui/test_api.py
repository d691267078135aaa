"""The public endpoints, through gradio's own client: four of them, documented, and nothing else."""

import ast
import json
import re
import subprocess

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from facelab.models.zoo import CHECKPOINTS
from facelab.recognition import gallery as galleries
from facelab.recognition.embedder import load, model_names
from facelab.recognition.verify import compare, detect
from facelab.ui import api
from facelab.ui.identify import enroll
from facelab.ui.widgets.examples import example_pairs, example_probes
from tests.documents import ROOT, blocks
from tests.pages import CLIENT, launched

MODEL = "resnet_softmax"


@pytest.fixture(scope="module")
def page(whole_page):
    """(a client of the app served in this process, the upload folder)."""
    app, _, folder = whole_page
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        with launched(app) as served:
            yield Client(served.url, verbose=False), folder


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
    got = client.predict(*map(handle_file, files), MODEL, far, api_name="/compare")
    wanted = compare(*files, MODEL, far)
    assert got.keys() == wanted.keys()
    assert got["score"] == pytest.approx(wanted["score"], abs=1e-4) and got["same"] == wanted["same"]


@pytest.fixture
def readme(page, files, tmp_path, monkeypatch) -> list[str]:
    """Python and shell of the README's calls to a page, in a folder with its two photos."""
    client, _ = page
    for name, path in zip("ab", files):
        Image.open(path).save(tmp_path / f"{name}.jpg")
    monkeypatch.chdir(tmp_path)
    calls = [block.text for block in blocks(ROOT / "README.md") if block.marker == "page"]
    assert all("http://127.0.0.1:7860" in call for call in calls)
    return [call.replace("http://127.0.0.1:7860", client.src.rstrip("/")) for call in calls]


def test_the_readme_s_calls_run_as_pasted(readme, capfd):
    wanted = compare("a.jpg", "b.jpg", "strong", 0.01)
    python, shell = readme
    exec(compile(python, "README.md", "exec"), {})
    subprocess.run(["bash", "-euc", shell], check=True)
    told = capfd.readouterr().out
    (printed,) = re.findall(r"^\{.*\}$", told, re.MULTILINE)
    (event, data) = re.search(r"^event: (\w+)\ndata: (.*)$", told, re.MULTILINE).groups()
    (sent,) = json.loads(data)
    assert event == "complete"
    for answer in (ast.literal_eval(printed), sent):
        assert answer.keys() == wanted.keys() and answer["same"] == wanted["same"]
        assert answer["score"] == pytest.approx(wanted["score"], abs=1e-4)


def test_four_documented_endpoints_are_public(page):
    client, _ = page
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/compare", "/identify", "/embed", "/models"}
    for endpoint in endpoints.values():
        assert len(endpoint["description"]) > 20
    names = [parameter["parameter_name"] for parameter in endpoints["/identify"]["parameters"]]
    assert names == ["photo", "gallery", "model", "far"]
    shown = CLIENT.get(f"{client.src}gradio_api/info").json()["named_endpoints"]
    assert set(shown) == set(endpoints)
    for name, endpoint in shown.items():
        documented = " ".join(api.ENDPOINTS[name].__doc__.split())
        for value in (*endpoint["parameters"], *endpoint["returns"]):
            words = value["python_type"]["description"]
            assert words.removeprefix("It is ").removeprefix("It holds ").rstrip(".") in documented
        assert "http" not in endpoint["code_snippets"]["python"].replace(client.src.rstrip("/"), "")
    assert "gallery=handle_file('gallery.npz')" in shown["/identify"]["code_snippets"]["python"]


def test_endpoint_answers_bad_input_with_a_sentence(page, files, tmp_path):
    client, _ = page
    bad = tmp_path / "words.jpg"
    bad.write_text("not a photo")
    with pytest.raises(Exception, match=r"Photo B: .*words\.jpg is not a photo"):
        client.predict(
            handle_file(files[0]), handle_file(str(bad)), "resnet_softmax", 0.01, api_name="/compare"
        )
    for far in (0, 2, -1, None, "often"):
        with pytest.raises(Exception, match="false-accept rate"):
            client.predict(*map(handle_file, files), "resnet_softmax", far, api_name="/compare")


@pytest.mark.parametrize(
    "model",
    [
        "checkpoints/strong.safetensors",
        "../checkpoints/strong",
        "./strong",
        "/proc/self/root/strong",
        str(CHECKPOINTS / "strong"),
        str(CHECKPOINTS / "strong.safetensors"),
        "",
        "strong\0",
        "s" * 100_000,
    ],
)
def test_endpoints_take_listed_models_only(page, files, exported, model):
    """A path that the command line takes is nothing that a visitor may name, be it an upload of theirs."""
    client, _ = page
    photo = handle_file(files[0])
    for call in (
        lambda: client.predict(photo, photo, model, 0.01, api_name="/compare"),
        lambda: client.predict(photo, model, api_name="/embed"),
        lambda: client.predict(photo, handle_file(exported), model, 0.01, api_name="/identify"),
    ):
        with pytest.raises(Exception, match="there is no model") as refused:
            call()
        assert len(str(refused.value)) < 1000


def test_an_uploaded_checkpoint_is_no_model(page, files):
    client, _ = page
    with open(CHECKPOINTS / f"{MODEL}.safetensors", "rb") as file:
        path = CLIENT.post(f"{client.src}gradio_api/upload", files={"files": ("mine.safetensors", file)})
    for model in (path.json()[0], path.json()[0].removesuffix(".safetensors")):
        with pytest.raises(Exception, match="there is no model"):
            client.predict(handle_file(files[0]), model, api_name="/embed")


def test_no_event_of_the_page_takes_a_path_for_a_choice(page):
    """Private events are only hidden: each choice gets a path once, by number."""
    client, _ = page
    config = CLIENT.get(f"{client.src}config").json()
    parts = {part["id"]: part for part in config["components"]}
    hidden, tried = ("state", "image", "plot"), set()
    for event in config["dependencies"]:
        kinds = [parts[i]["type"] for i in event["inputs"]]
        values = [
            None if kind in hidden else parts[i]["props"].get("value")
            for i, kind in zip(event["inputs"], kinds)
        ]
        for at, kind in enumerate(kinds):
            if kind not in ("dropdown", "radio") or event["inputs"][at] in tried:
                continue
            tried.add(event["inputs"][at])
            data = [*values[:at], str(CHECKPOINTS / f"{MODEL}.safetensors"), *values[at + 1 :]]
            body = {"data": data, "fn_index": event["id"], "session_hash": f"{event['id']}-{at}"}
            joined = CLIENT.post(f"{client.src}gradio_api/queue/join", json=body)
            assert joined.status_code == 200, joined.text
            visit = {"session_hash": body["session_hash"]}
            answer = CLIENT.get(f"{client.src}gradio_api/queue/data", params=visit).text
            refused = ("not in the list of choices", "This model is not on the page")
            assert any(words in answer for words in refused), (event["api_name"], answer[-300:])
    assert len(tried) > 5


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("gallery") / "gallery.npz"
    path.write_bytes(galleries.export(enroll.example_gallery(MODEL).gallery))
    return str(path)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    path = tmp_path_factory.mktemp("probe") / "stranger.png"
    example_probes()["Unenrolled person"].save(path)
    return str(path)


def test_identify_endpoint_answers_both_questions(page, exported, stranger):
    client, _ = page
    got = client.predict(handle_file(stranger), handle_file(exported), MODEL, 0.0001, api_name="/identify")
    wanted = galleries.identify(stranger, galleries.load_gallery(exported, MODEL), 0.0001)
    assert got["closed_set"] == wanted["closed_set"] and got["open_set"] is None
    assert [rank["person"] for rank in got["ranks"]] == [rank["person"] for rank in wanted["ranks"]]
    assert got["score"] == pytest.approx(wanted["score"], abs=1e-4) and got["score"] < got["threshold"]
    with pytest.raises(Exception, match=f"holds embeddings of {MODEL}, which reference cannot compare"):
        client.predict(handle_file(stranger), handle_file(exported), "reference", 0.001, api_name="/identify")


def test_embed_endpoint_gives_the_vector_of_each_face(page, files):
    client, _ = page
    got = client.predict(handle_file(files[0]), MODEL, api_name="/embed")
    seen = detect(files[0], "x")
    wanted = load(MODEL).embed(seen.photo, seen.faces)
    np.testing.assert_allclose([face["embedding"] for face in got["faces"]], wanted, atol=1e-3)
    assert got["similarity"] == "cosine similarity" and len(got["faces"][0]["landmarks"]) == 5
    with pytest.raises(Exception, match="there is no model 'nobody'"):
        client.predict(handle_file(files[0]), "nobody", api_name="/embed")


def test_models_endpoint_lists_what_the_others_take(page):
    client, _ = page
    got = client.predict(api_name="/models")
    assert [model["name"] for model in got] == model_names()
    found = next(model for model in got if model["name"] == MODEL)
    assert found["thresholds"]["0.01"] == pytest.approx(load(MODEL).points.threshold_for(0.01))
    assert "LFW view 1" in got[0]["calibration"]
