"""The notebooks: each runs from a clean kernel on rendered faces, and what is stored of it is small."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from facelab.data.embeddings import save_embeddings

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 30_000  # characters of one output, stored or made


def cells(path: Path, kind: str = "code") -> list[str]:
    """Sources of the cells of a kind."""
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == kind]


def setup_of(path: Path) -> str:
    """The one cell that installs."""
    (found,) = (source for source in cells(path) if '"pip"' in source)
    return found


@pytest.fixture
def quiet_home(tmp_path, monkeypatch) -> dict[str, str]:
    """An environment whose kernel leaves nothing at home."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "work").mkdir()
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def execute(
    path: Path, folder: Path, env: dict[str, str], shorter: dict[str, str] | None = None
) -> nbformat.NotebookNode:
    """Run every cell in a new kernel, in a folder; a cell that fails raises."""
    text = path.read_text("utf-8")
    for before, after in (shorter or {}).items():
        assert before in text
        text = text.replace(before, after)
    notebook = nbformat.reads(text, 4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute(env=env)
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert all(len(json.dumps(output)) <= LARGEST for output in outputs)  # saved as it is, it stays small
    return "".join(output.get("text", "") for output in outputs)


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["embeddings", "hw2p2_starter", "losses"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_stored_is_whole_small_and_without_pictures(path):
    text = path.read_text("utf-8")
    notebook = nbformat.reads(text, 4)
    nbformat.validate(notebook)
    assert len(text) < 100_000
    for cell in notebook.cells:
        assert not cell.get("attachments")
        for output in cell.get("outputs", []):
            assert len(json.dumps(output)) <= LARGEST
            assert output.output_type != "error"
            assert not [kind for kind in output.get("data", {}) if kind.startswith("image/")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_opens_on_colab_and_kaggle_and_says_where_the_address_goes(path):
    first = cells(path, "markdown")[0]
    for host in ("https://colab.research.google.com/github/", "https://kaggle.com/kernels/welcome?src="):
        assert re.search(rf"\]\({re.escape(host)}\S*OWNER/facelab/blob/main/notebooks/{path.name}\)", first)
    assert "replace it by the address" in first and "OWNER/facelab" in setup_of(path)
    assert re.search(r"\bSEED\b.*= 0|\bSEED, .*= 0", "\n".join(cells(path)))  # equal runs, equal figures


def test_all_install_in_the_same_way():
    assert len({setup_of(path) for path in NOTEBOOKS}) == 1


def test_setup_installs_a_clone_where_nothing_can_be_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda words, check: ran.append([str(word) for word in words]))
    exec(setup_of(NOTEBOOKS[0]), {})
    clone, install = ran
    assert clone[:2] == ["git", "clone"] and clone[-1] == "facelab-clone"
    assert install[:4] == [sys.executable, "-m", "pip", "install"] and install[-2:] == [
        "-e",
        "facelab-clone[app]",
    ]
    assert sys.path[0] == str(tmp_path / "facelab-clone")


def test_setup_skips_itself_where_everything_can_be_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be installed"))
    before = list(sys.path)
    exec(setup_of(NOTEBOOKS[0]), {})
    assert sys.path == before


def test_the_starter_runs_and_writes_both_submissions(tmp_path, quiet_home):
    env = quiet_home | {"PYTHONPATH": str(ROOT)}
    text = printed(execute(ROOT / "notebooks" / "hw2p2_starter.ipynb", tmp_path / "work", env))
    top_1, eer = (float(re.search(rf"{name} ([\d.]+)%", text)[1]) for name in ("top-1 accuracy", "EER"))
    assert top_1 > 50 and eer < 35  # of chance 6.2 and 50
    data, out = (tmp_path / "work" / name for name in ("rendered_hw2p2", "submissions"))
    with open(out / "classification.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} == {p.name for p in (data / "cls_data/test/images").iterdir()}
    assert {row["label"] for row in rows} <= {str(label) for label in range(16)}
    with open(out / "verification.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = (data / "test_pairs.txt").read_text().splitlines()
    assert [int(row["ID"]) for row in rows] == list(range(len(pairs)))
    assert all(-1 <= float(row["Label"]) <= 1 for row in rows)


def test_the_starter_shows_its_loop_and_marks_what_a_student_fills():
    sources = cells(ROOT / "notebooks" / "hw2p2_starter.ipynb")
    (loop,) = (source for source in sources if "loss.backward()" in source)
    assert "optimizer.step()" in loop and "loss_fn(model(x), " in loop
    assert "\n".join(sources).count("TODO") >= 8  # data, network, loss, optimizer, augmentation, score


def test_losses_runs_in_a_clone_in_the_order_of_the_lecture(tmp_path, quiet_home):
    path = ROOT / "notebooks" / "losses.ipynb"
    quiet_home.pop("PYTHONPATH", None)
    shorter = {"steps: int = 400": "steps: int = 210", "steps=800": "steps=210"}
    text = printed(execute(path, path.parent, quiet_home, shorter))  # the setup cell finds the clone
    for name in ("softmax", "center", "triplet, hard", "ArcFace", "contrastive", "pairwise", "A-Softmax"):
        assert re.search(rf"^{name}.*EER [\d.]+%$", text, re.MULTILINE), name
    assert "target [0.9333, 0.0333, 0.0333] logits [3.33, 0.0, 0.0]" in text
    wanted = ("Softmax", "Center", "Triplet", "ArcFace", "Contrastive, pairwise, angular", "Label smoothing")
    headings = re.findall(r"^## \d\. (.*)", "\n".join(cells(path, "markdown")), re.MULTILINE)
    assert all(heading.startswith(name) for heading, name in zip(headings, wanted, strict=True))


def test_embeddings_runs_on_rendered_faces(tmp_path, quiet_home):
    env = quiet_home | {"PYTHONPATH": str(ROOT)}
    text = printed(execute(ROOT / "notebooks" / "embeddings.ipynb", tmp_path / "work", env))
    low, high = map(float, re.search(r"over identities: ([\d.]+)% to ([\d.]+)%", text).groups())
    assert 0 <= low <= float(re.search(r"EER ([\d.]+)%", text)[1]) <= high < 50
    assert "logistic fit: ECE" in text and "isotonic regression: ECE" in text


def test_embeddings_of_too_few_identities_get_one_sentence(tmp_path):
    """Half of the identities fit P(same) and half judge it; an .npz without folders has one identity."""
    settings, load, *_ = cells(ROOT / "notebooks" / "embeddings.ipynb")[1:]
    save_embeddings(tmp_path / "mine.npz", ["a.png", "b.png", "c.png"], np.eye(3, 8))
    with pytest.raises(ValueError, match="at least four identities with two photos each"):
        exec(settings.replace("NPZ = None", f"NPZ = {str(tmp_path / 'mine.npz')!r}") + "\n" + load, {})
