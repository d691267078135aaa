"""What a visitor trains or brings is used in the other tabs, by this visitor only, in a real Chromium.

One visitor trains and brings; a second one looks for it.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.cli.main import main
from facelab.data.parametric import ParametricFaces

from .conftest import choose_tab, until
from .test_train_tab import LONG, put

CHART = "document.querySelector('#{} .facelab-chart')"


def mine(desk, tab):
    """The page of the visitor who trains and brings."""
    page, _ = desk(link="tab=train")
    until(page, "window.facelabLoaded", timeout=LONG)
    choose_tab(page, tab)
    return page


def stranger(desk, tab):
    """The page of another visitor."""
    page, _ = desk(link="tab=own")
    until(page, "window.facelabLoaded", timeout=LONG)
    choose_tab(page, tab)
    return page


def offered_to(page):
    """The models that Compare offers, as one text."""
    choose_tab(page, "Compare")
    page.locator("#model input").click()
    page.get_by_role("option").first.wait_for(timeout=LONG)
    names = " ".join(page.get_by_role("option").all_inner_texts())
    page.locator("#model input").blur()
    return names


def bring(page, file, place, said):
    """Choose a file and wait for what the page says of it."""
    page.locator(f"#{place} input[type=file]").set_input_files(file)
    page.wait_for_selector(said, timeout=LONG)


def score_in_table(page, model):
    """The score of a model in the table of all models."""
    page.wait_for_selector(f"#models th >> text={model}", state="attached", timeout=LONG)
    row = page.locator("#models tr", has_text=model)
    return float(row.locator("td").nth(1).text_content())


def left_of(name):
    """Uploads of that name which the server still holds."""
    return [*(Path(tempfile.gettempdir()) / "gradio").rglob(name)]


def test_a_network_trained_here_compares_two_held_out_faces_for_its_visitor_only(desk):
    page = mine(desk, "Train")
    put(page, "train-people", 30)
    put(page, "train-faces", 6)
    put(page, "train-epochs", 1)
    page.locator("#train-start").click()
    page.wait_for_selector("#train-run h2 >> text=✔ Finished", timeout=LONG)
    until(page, "!document.querySelector('#train-use').disabled", timeout=LONG)
    page.locator("#train-use").click()
    page.wait_for_selector("#verdict >> text=3 held-out identities of rendered faces", timeout=LONG)
    name = page.locator("#model input").input_value()
    assert name.startswith("resnet_face, softmax, 1 epoch #")
    shown = page.locator("#verdict .fl-figures b").first
    assert score_in_table(page, name) == float(shown.inner_text())
    assert page.locator("#why .fl-problem").count() == 0
    assert name in offered_to(page)
    theirs = offered_to(stranger(desk, "Compare"))
    assert "#" not in theirs and "resnet_softmax" in theirs


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A checkpoint of the command line and the ONNX embedder that it exports of it."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported")
    data, rng = ParametricFaces(12, 6, seed=4).crop_set(), np.random.default_rng()
    for i, (crop, person) in enumerate(zip(data.crops[:], data.labels)):
        (folder / "faces" / f"p{person}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(folder / "faces" / f"p{person}" / f"{i}.png")
    unique = rng.integers(10**9)  # a name that no other test's server holds
    files = [folder / f"mine-{unique}{suffix}" for suffix in (".safetensors", ".onnx")]
    argv = ["--data", folder / "faces", "--backbone", "alexnet_face", "--neck", "pool", "--embedding-dim", 16]
    argv += ["--epochs", 1, "--batch-size", 24, "--held-out", 0.4, "--lr", 0.01, "--precision", "fp32"]
    assert main(["train", "softmax", *map(str, argv), "--out", str(files[0])]) == 0
    assert main(["export", str(files[0]), "--onnx", str(files[1])]) == 0
    return files


def test_a_checkpoint_and_its_onnx_give_one_score_in_compare_for_their_visitor_only(desk, exported):
    weights, graph = exported
    page = mine(desk, "Own")
    bring(page, weights, "own-model", "#own-model-card h3 >> text=alexnet_face, softmax, 1 epoch #")
    page.wait_for_selector("#own-model-card >> text=5 held-out identities of faces")
    names = [page.locator("#own-model-card h3").first.inner_text()]
    page.locator("#own-use").click()
    page.wait_for_selector("#verdict >> text=5 held-out identities of faces", timeout=LONG)
    choose_tab(page, "Own")
    bring(page, graph, "own-model", "#own-model-card h3 >> text=ONNX embedder, 16-D #")
    page.wait_for_selector("#own-model-card >> text=It has no thresholds yet")
    names.append(page.locator("#own-model-card h3").first.inner_text())
    page.locator("#own-use").click()
    page.wait_for_selector(f"#verdict >> text={names[1]} has no thresholds yet", timeout=LONG)
    first, second = (score_in_table(page, name) for name in names)
    assert abs(first - second) < 1.01e-3, "three digits are shown; test_own.py of ui holds 1e-4"
    assert "no threshold" in page.locator("#models tr", has_text=names[1]).text_content()
    offered, theirs = offered_to(page), offered_to(stranger(desk, "Compare"))
    assert all(name in offered and name not in theirs for name in names)
    assert not left_of(weights.name) and not left_of(graph.name)


def test_brought_embeddings_fill_the_dashboards_for_their_visitor_only(desk, tmp_path):
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(20), 5)
    centers = rng.normal(size=(20, 32))
    page = mine(desk, "Own")
    hint = page.locator("#own-map-people [role=status]")
    assert hint.inner_text() == "", "there is no data point to press yet"
    for name, noise in (("a", 1.0), ("b", 1.8)):
        vectors = (centers[labels] + noise * rng.normal(size=(100, 32))).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", embeddings=vectors, labels=labels)
        run = f"#own-said >> text=Run {name.upper()}: 100 embeddings"
        bring(page, tmp_path / f"{name}.npz", f"own-run-{name}", run)
    page.locator("#own-evaluate").click()
    page.wait_for_selector("#own-difference >> text=✔ A: a has the lower EER", timeout=LONG)
    for chart in ("roc", "det", "hist-a", "hist-b", "map-a", "map-b"):
        page.wait_for_selector(f"#own-{chart} .main-svg", timeout=LONG)
    assert hint.inner_text().startswith("Press a data point")
    maps = [CHART.format(f"own-map-{side}") for side in "ab"]
    page.evaluate(f"{maps[0]}.emit('plotly_click', {{points: [{{curveNumber: 3, pointNumber: 0}}]}})")
    for one in maps:
        until(page, f"{one}.data[3].marker.opacity === 1 && {one}.data[4].marker.opacity === 0.1")
    assert hint.inner_text() == "Identity 11 is highlighted on both maps: 5 photos."
    before = (
        page.locator("#own-figures-a").inner_text(),
        page.evaluate(f"{CHART.format('own-roc')}.data[0].y"),
    )
    rows = [f"{i},{i + 1},1" for i in range(0, 100, 5)] + [f"{i},{(i + 50) % 100},0" for i in range(60)]
    (tmp_path / "pairs.csv").write_text("image1,image2,label\n" + "\n".join(rows), encoding="utf-8")
    bring(page, tmp_path / "pairs.csv", "own-pairs", "#own-pairs .file-preview")
    page.locator("#own-evaluate").click()
    page.wait_for_selector("#own-figures-a >> text=60 impostor pairs of your list", timeout=LONG)
    after = page.locator("#own-figures-a").inner_text(), page.evaluate(f"{CHART.format('own-roc')}.data[0].y")
    assert all(old != new for old, new in zip(before, after))
    other = stranger(desk, "Own")
    assert "Bring embeddings" in other.locator("#own-figures-a").inner_text()
    assert other.locator("#own-difference").inner_text() == ""


def test_the_words_of_each_file_input_fit_its_height(desk):
    page = stranger(desk, "Own")
    inputs = """[...document.querySelectorAll('.block > .upload-container')].filter((e) => e.offsetParent)"""
    cut = page.evaluate(
        f"{inputs}.filter((e) => e.scrollHeight > e.clientHeight + 1).map((e) => e.parentNode.id)"
    )
    assert cut == [] and page.evaluate(f"{inputs}.length") == 6
