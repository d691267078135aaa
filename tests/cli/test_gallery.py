"""`gallery` and `group` from the command line: what they enroll, find, keep out and say."""

import csv
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from facelab.cli import gallery as commands
from facelab.cli.main import main
from facelab.data.embeddings import save_embeddings
from facelab.data.parametric import ParametricFaces
from facelab.evaluation import photo_pool
from facelab.recognition.embedder import load
from facelab.recognition.people import Match
from facelab.recognition.qdrant_gallery import connect

MODEL = ("--model", "resnet_softmax")


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Return a folder of three people with three aligned crops each."""
    root, data = tmp_path_factory.mktemp("crops"), ParametricFaces(3, 3, seed=2).crop_set()
    for i, label in enumerate(data.labels):
        (root / f"person{label}").mkdir(exist_ok=True)
        Image.fromarray(np.asarray(data.crops[i])).save(root / f"person{label}" / f"{i}.png")
    return root


def answer(capsys, *words):
    status = main([*map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("server", [False, True])
def test_a_gallery_is_built_asked_shown_and_loses_a_person(crops, tmp_path, capsys, monkeypatch, server):
    name = tmp_path / "people"
    if server:  # the client's small one in this process
        client, name = connect(":memory:"), "people"
        monkeypatch.setenv("FACELAB_GALLERY_URL", "http://localhost:6333")
        monkeypatch.setattr(commands, "connect", lambda url: client)
    status, out, err = answer(capsys, "gallery", "build", name, crops, *MODEL, "--aligned", "--jobs", 1)
    assert status == 0 and "9 photos enrolled, 0 were there, 0 failed" in out, err
    photo = next((crops / "person1").iterdir())
    found = json.loads(answer(capsys, "gallery", "search", name, photo, "--aligned", "--json")[1])
    assert found["person"] == "person1" and found["matches"][0]["name"] == f"person1/{photo.name}"
    assert found["matches"][0]["score"] == pytest.approx(1, abs=1e-4) and len(found["matches"]) == 5
    status, out, _ = answer(capsys, "gallery", "search", name, photo, "--aligned", "--count", 1)
    assert out.startswith("person1  1.0000, threshold") and len(out.splitlines()) == 2
    assert "3 photos of person1 removed" in answer(capsys, "gallery", "remove", name, "person1")[1]
    facts = json.loads(answer(capsys, "gallery", "info", name, "--json")[1])
    kind = "Qdrant server" if server else "float32"
    assert facts == {"model": "resnet_softmax", "dimensions": 256, "photos": 6, "people": 2, "kind": kind}
    status, _, err = answer(capsys, "gallery", "remove", name, "person1")
    assert status == 2 and "person1 is not in" in err


def test_a_build_that_was_stopped_embeds_only_what_is_missing(crops, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(commands, "BATCH", 4)
    asked, real = [], photo_pool.embed_images

    def stopping(model, folder, names, *rest, **named):
        if len(asked) == 1:
            asked.append([])
            raise ValueError("the disk is full")
        asked.append(list(names))
        return real(model, folder, names, *rest, **named)

    monkeypatch.setattr(commands, "embed_images", stopping)
    words = ("gallery", "build", tmp_path / "g", crops, *MODEL, "--aligned", "--jobs", 1)
    assert answer(capsys, *words)[0] == 2
    assert "5 photos enrolled, 4 were there" in answer(capsys, *words)[1]
    embedded = [name for names in asked for name in names]
    assert len(embedded) == len(set(embedded)) == 9


def test_embeddings_of_a_file_are_enrolled_and_need_identities(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(6, 256)).astype(np.float32)
    names = [f"{i}.png" for i in range(6)]
    save_embeddings(tmp_path / "a.npz", names, x, [f"p{i % 2}" for i in range(6)])
    save_embeddings(tmp_path / "b.npz", names, x)
    build = ("gallery", "build", tmp_path / "g")
    assert "6 photos enrolled" in answer(capsys, *build, tmp_path / "a.npz", *MODEL, "--kind", "int8")[1]
    facts = json.loads(answer(capsys, "gallery", "info", tmp_path / "g", "--json")[1])
    assert facts["people"] == 2 and facts["kind"] == "int8"
    status, _, err = answer(capsys, *build, tmp_path / "b.npz", *MODEL)
    assert status == 2 and "does not say who is on each image" in err
    status, _, err = answer(capsys, *build, tmp_path / "a.npz", "--model", "arcface")
    assert status == 2 and "holds embeddings of resnet_softmax, not of arcface" in err


def test_faces_are_grouped_judged_by_names_and_written(crops, tmp_path, capsys):
    words = ("group", crops, *MODEL, "--aligned", "--jobs", 1)
    found = json.loads(answer(capsys, *words, "--json", "--out", tmp_path / "g.csv")[1])
    assert found["faces"] == sum(found["sizes"]) == 9 and "threshold at FAR 0.001." in found["reason"]
    with open(tmp_path / "g.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 and max(int(row["group"]) for row in rows) == len(found["sizes"]) - 1
    pairs = itertools.combinations(rows, 2)
    together = {(a["image"], b["image"]) for a, b in pairs if a["group"] == b["group"]}
    right = sum(a.split("/")[0] == b.split("/")[0] for a, b in together)
    assert found["pairs"]["precision"] == pytest.approx(right / len(together))
    assert found["pairs"]["recall"] == pytest.approx(right / 9)
    said = answer(capsys, *words)[1]
    assert "9 faces in" in said and "pairwise precision" in said and "mean cosine" in said


def test_a_score_that_reaches_the_threshold_of_the_rate_is_accepted(crops, capsys, monkeypatch):
    threshold, asked = load(MODEL[1]).points.threshold_for(0.01), []

    def opened(name, exact):
        asked.append(exact)
        return SimpleNamespace(
            model=MODEL[1], search=lambda probes, count: [[Match("Ann", "a.png", threshold)] * count]
        )

    monkeypatch.setattr(commands, "opened", opened)
    words = ("gallery", "search", "people", next((crops / "person1").iterdir()), "--aligned", "--json")
    strict = json.loads(answer(capsys, *words, "--approximate")[1])
    found = json.loads(answer(capsys, *words, "--far", 0.01, "--count", 2)[1])
    assert strict["person"] is None and found["person"] == "Ann" and found["threshold"] == threshold
    assert (strict["far"], found["far"], len(found["matches"])) == (0.001, 0.01, 2) and asked == [False, True]


def test_faces_are_grouped_at_the_threshold_of_the_rate(crops, capsys):
    words = ("group", crops, *MODEL, "--aligned", "--jobs", 1, "--far", 0.01, "--json")
    threshold = load(MODEL[1]).points.threshold_for(0.01)
    assert f"is {threshold:.3f} or more" in json.loads(answer(capsys, *words)[1])["reason"]


def test_the_server_s_address_is_checked(capsys, monkeypatch):
    monkeypatch.setenv("FACELAB_GALLERY_URL", "http://user:secret@host")
    status, _, err = answer(capsys, "gallery", "info", "x")
    assert status == 2 and "must be an address" in err


def test_a_server_that_does_not_answer_is_named_in_one_sentence(capsys, monkeypatch):
    monkeypatch.setenv("FACELAB_GALLERY_URL", "http://127.0.0.1:9")
    status, out, err = answer(capsys, "gallery", "info", "x")
    assert status == 2 and not out and "no Qdrant server answers at http://127.0.0.1:9" in err
    assert len(err.splitlines()) == 1
