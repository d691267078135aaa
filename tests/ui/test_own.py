"""Own: models, embeddings and photos that a visitor brings, and what is left of them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facelab.data.parametric import ParametricFaces
from facelab.lessons.live.data import TrainingData
from facelab.models import checkpoint
from facelab.models.model import embed
from facelab.models.onnx_export import export_onnx
from facelab.photos.faces import Photo
from facelab.recognition import visit as reach
from facelab.recognition.embedder import as_face, load
from facelab.ui.compare import heat
from facelab.ui.compare import tab as compare
from facelab.ui.own import dashboards, models, runs, tab

PROGRESS = type("Progress", (), {"tqdm": staticmethod(lambda items, **_: items)})()
PEOPLE, EACH = 20, 5


def uploaded(folder, path):
    """A file in a folder of its own, as gradio keeps an upload."""
    place = folder / f"upload-{len(list(folder.iterdir()))}" / path.name
    place.parent.mkdir()
    shutil.copy(path, place)
    return str(place)


@pytest.fixture
def files(tmp_path):
    """(folder of uploads, function that writes embeddings of known noise as a file of it)."""
    rng, place = np.random.default_rng(0), tmp_path / "uploads"
    place.mkdir()
    centers, labels = rng.normal(size=(PEOPLE, 32)), np.repeat(np.arange(PEOPLE), EACH)

    def write(noise, suffix=".npz", **more):
        vectors = (centers[labels] + noise * rng.normal(size=(len(labels), 32))).astype(np.float32)
        path = tmp_path / f"noise {noise}{suffix}"
        if suffix == ".npz":
            np.savez(path, embeddings=vectors, labels=labels, **more)
        else:
            np.save(path, vectors)
        return uploaded(place, path)

    return place, write


def test_a_checkpoint_and_the_onnx_exported_from_it_give_one_score(tiny_run, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model, loss_fn, header = tiny_run
    checkpoint.save(tmp_path / "mine.safetensors", model, loss_fn, header)
    model, _, header = checkpoint.load(tmp_path / "mine.safetensors")  # as `export` does
    export_onnx(tmp_path / "mine.onnx", model, header, "mine")
    place, own, names = tmp_path / "uploads", {}, []
    place.mkdir()
    for name in ("mine.safetensors", "mine.onnx"):
        own, card, emptied, mine, button = tab.on_model(own, uploaded(place, tmp_path / name))
        names.append(mine)
        assert mine in card and emptied is None and button["interactive"] and not list(place.iterdir())
    crops = ParametricFaces(2, 1, 3).crop_set().crops
    with reach.reachable(own):
        vectors = [[load(name).embed(Photo(crop, 1.0), [as_face(crop)]) for crop in crops] for name in names]
        scores = [float(load(name).score(*pair)[0]) for name, pair in zip(names, vectors)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    unit = [v / np.linalg.norm(v) for v in embed(model, crops)]
    assert scores[0] == pytest.approx(float(unit[0] @ unit[1]), abs=1e-4)
    with reach.reachable(own):
        pair = compare.pair_of(*(Image.fromarray(crop) for crop in crops), names[1])
        assert "layers are not open" in heat.why(pair)
    own[names[1]].forget()
    with reach.reachable(own), pytest.raises(ValueError, match="took too long"):
        load(names[1]).embed(Photo(crops[0], 1.0), [as_face(crops[0])])


def test_a_file_that_is_no_model_gets_one_sentence_and_is_deleted(tmp_path):
    place = tmp_path / "uploads"
    place.mkdir()
    for name in ("a.safetensors", "a.onnx", "a.txt"):
        (tmp_path / name).write_bytes(b"junk" * 9)
        out = tab.on_model({}, uploaded(place, tmp_path / name))
        assert 'role="alert"' in out[1] and str(tmp_path) not in out[1] and not list(place.iterdir())


def test_a_hosted_page_that_cannot_limit_memory_takes_no_graph(tmp_path, monkeypatch):
    (tmp_path / "a.onnx").write_bytes(b"x")
    monkeypatch.setattr(models, "hosted", lambda: True)
    monkeypatch.setattr(models, "can_limit", lambda: False)
    with pytest.raises(ValueError, match="cannot limit"):
        models.brought(str(tmp_path / "a.onnx"))


def test_two_runs_fill_every_dashboard_and_the_better_one_is_named(files):
    place, write = files
    logits = np.eye(PEOPLE, dtype=np.float32)[np.repeat(np.arange(PEOPLE), EACH)] * 3
    held, card, _ = tab.on_files("A", {}, [write(0.8, logits=logits)])
    assert f"{PEOPLE * EACH} embeddings, 32-D, {PEOPLE} identities, logits of {PEOPLE} classes" in card
    held, card, _ = tab.on_files("B", held, [write(2.0)])
    assert not list(place.iterdir())
    out = tab.on_evaluate(held, None, None)
    assert len(out) == dashboards.COUNT + 2 and out[0] == ""
    difference, roc, det, hist, near, ece, claims, figures, *second, groups, shown, other, note = out[2:]
    assert "✔ A: noise 0.8 has the lower EER" in difference and groups == ""
    assert [trace.name for trace in roc.data] == [trace.name for trace in det.data]
    assert len(roc.data) == 2 and len(hist.data) == 2 and "angle of their centers" in near
    assert ece is not None and "100.0%" in claims and second[2] is None, "run B has no logits"
    assert "intra-class angle" in figures and " to " in figures
    for figure in (shown, other):
        assert sum(len(trace.x) for trace in figure.data if trace.meta == "person") == PEOPLE * EACH
    assert "PCA draws" in note and "not linked" not in note
    first = held["A"].vectors
    runs.forget(held)
    assert not first.embeddings.any() and not first.logits.any()


def test_a_list_of_pairs_changes_the_figures(files, tmp_path):
    _, write = files
    held, _, _ = tab.on_files("A", {}, [write(1.5)])
    every = tab.on_evaluate(held, None, None)
    rows = [f"{i},{i + 1},1" for i in range(0, 100, EACH)] + [f"{i},{(i + 50) % 100},0" for i in range(60)]
    (tmp_path / "pairs.csv").write_text("image1,image2,label\n" + "\n".join(rows), encoding="utf-8")
    listed = tab.on_evaluate(held, str(tmp_path / "pairs.csv"), None)
    assert "20 genuine and 60 impostor pairs of your list" in listed[9] and listed[9] != every[9]
    (tmp_path / "pairs.csv").write_text("image1,image2,label\nnot,there,1\n", encoding="utf-8")
    assert 'role="alert"' in tab.on_evaluate(held, str(tmp_path / "pairs.csv"), None)[0]


def test_errors_by_group_come_with_what_they_cannot_show(files, tmp_path):
    _, write = files
    held, _, _ = tab.on_files("A", {}, [write(1.5)])
    rows = "\n".join(f"{person},{'ab'[person % 2]}" for person in range(PEOPLE))
    (tmp_path / "groups.csv").write_text(f"id,kind\n{rows}\n", encoding="utf-8")
    table = tab.on_evaluate(held, None, str(tmp_path / "groups.csv"))[-4]
    assert all(f"kind: {group}" in table for group in ("all", "a", "b")) and "cannot show a cause" in table


def test_an_npy_takes_its_labels_from_the_csv_and_other_files_are_named_wrong(files, tmp_path):
    place, write = files
    (tmp_path / "l.csv").write_text(
        "label\n" + "\n".join(str(i // EACH) for i in range(100)), encoding="utf-8"
    )
    held, card, _ = tab.on_files("A", {}, [write(1.0, ".npy"), uploaded(place, tmp_path / "l.csv")])
    assert f"{PEOPLE} identities" in card and held["A"].vectors.identities[5] == "1"
    assert not list(place.iterdir())
    alone, card, _ = tab.on_files("A", {}, [write(1.0, ".npy")])
    assert "a list of pairs is needed" in card
    assert "no labels" in tab.on_evaluate(alone, None, None)[0]
    for paths in ([write(1.0), write(2.0)], [uploaded(place, tmp_path / "l.csv")]):
        assert runs.FORMS in tab.on_files("A", {}, paths)[1]
    assert "there is nothing to evaluate" in tab.on_evaluate({}, None, None)[0]


def test_a_hosted_page_bounds_what_it_takes_and_says_so(files, monkeypatch):
    _, write = files
    monkeypatch.setattr(runs, "hosted", lambda: True)
    monkeypatch.setattr(runs, "JUDGED_HOSTED", 50)
    held, _, _ = tab.on_files("A", {}, [write(1.0)])
    assert "50 of 100 photos were judged here" in tab.on_evaluate(held, None, None)[9]
    monkeypatch.setattr(runs, "MOST_HOSTED", 99)
    assert "holds 100 rows; 99 is the limit" in tab.on_files("A", {}, [write(1.0)])[1]
    with pytest.raises(ValueError, match="opens no Parquet"):
        runs.from_files(["x.parquet"])


def test_photos_are_embedded_by_a_model_of_the_visit_and_set_its_thresholds(tiny_run, tmp_path):
    data = ParametricFaces(6, 5, 1).crop_set()
    model, loss_fn, header = tiny_run
    bare = replace(header, operating_points=None)
    checkpoint.save(tmp_path / "m.safetensors", model, loss_fn, bare)
    own = models.brought(str(tmp_path / "m.safetensors"))
    own = {own.name: own}
    (name,) = own
    with reach.reachable(own):
        after, held, card = tab.on_embed(own, {}, TrainingData(data, "mine"), name, "", PROGRESS)
    np.testing.assert_allclose(held["A"].vectors.embeddings, embed(model, data.crops), rtol=2e-2, atol=2e-2)
    assert held["A"].vectors.identities[5] == "1" and "The thresholds of" in card
    assert after[name].embedder.points.source == "30 photos of 6 people that you brought"
    assert tab.on_embed(own, {}, None, name, "", PROGRESS)[2] == tab.cards.hint(tab.NO_PHOTOS)
