"""House rules that a machine can check: which room may import what, sizes, and no photographs."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.rooms import FILES, ROOMS, arrows, diagram, imports

ROOT = Path(__file__).parent.parent
SOURCES = [*sorted((ROOT / "facelab").rglob("*.py")), ROOT / "app.py"]
HEAVY = {"gradio", "umap", "dlib", "facenet_pytorch", "plotly", "sklearn"}


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_between_rooms(room):
    allowed = set(ROOMS[room][1].split())
    assert arrows()[room] <= allowed, "an import that the table does not allow; see docs/architecture.md"
    assert all(ROOMS[other][0] < ROOMS[room][0] for other in allowed), "arrows go down"


def test_every_module_lives_in_a_room():
    assert {path.stem for path in (ROOT / "facelab").glob("*.py")} == {"__init__"} | FILES
    folders = {path.parent.name for path in (ROOT / "facelab").glob("*/__init__.py")}
    assert folders == set(ROOMS) - FILES


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms(path):
    found = imports(path)
    parts = path.relative_to(ROOT).parts
    if "ui" in parts:
        assert not {name for name in found if name.startswith("facelab.models.losses")}
        tab, others = parts[2], {p.parent.name for p in (ROOT / "facelab/ui").glob("*/tab.py")}
        taken = {name.split(".")[2] for name in found if name.startswith("facelab.ui.")} & others
        assert path.name in ("__init__.py", "api.py") or taken <= {tab}, "no tab imports another"
    else:
        assert "gradio" not in {name.split(".")[0] for name in found}
    assert len(path.read_text().splitlines()) <= 300, "a file that passes 300 lines is two files"


def test_training_needs_no_page_detector_or_map():
    """What the training loop imports, followed through the project, holds none of the heavy extras."""
    todo, seen = ["facelab.training.loop"], set()
    while todo:
        name = todo.pop()
        path = ROOT / Path(*name.split("."))
        file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        if name in seen or not file.exists():
            continue
        seen.add(name)
        for other in imports(file, top_level_only=True):
            assert other.split(".")[0] not in HEAVY, f"{name} imports {other}"
            if other.startswith("facelab"):
                todo += [other, other.rpartition(".")[0]]
    assert "facelab.models.model" in seen


def test_the_document_shows_the_rooms_as_they_are():
    assert diagram() in (ROOT / "docs/architecture.md").read_text(), "run `python tests/rooms.py`"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_under_40_lines(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines < 40, f"{node.name} has {lines} lines"


def test_text_files_are_utf_8_on_every_system():
    """Where none is named, Windows takes the encoding of its language."""
    for path in (*SOURCES, *sorted((ROOT / "deploy").glob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            binary = any(isinstance(arg, ast.Constant) and "b" in str(arg.value) for arg in node.args[1:])
            most = {"read_text": 0, "write_text": 1}  # arguments of a path's method, without an encoding
            text = len(node.args) <= most.get(getattr(node.func, "attr", ""), -1)
            text |= getattr(node.func, "id", "") == "open" and not binary
            named = any(word.arg == "encoding" for word in node.keywords)
            assert named or not text, f"{path.name}:{node.lineno} names no encoding"


def tracked():
    out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if out.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in out.stdout.splitlines() if (ROOT / name).exists()]


def test_no_photographs_and_nothing_large_is_tracked():
    for path in tracked():
        assert path.stat().st_size <= 10_000_000, path
        if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".pgm", ".avif"}:
            assert path.parent == ROOT / "docs" / "pictures", (
                f"{path}: pictures live in docs/pictures, rendered only"
            )


def test_nothing_is_unpickled():
    tensors_only = 'torch.load(file, map_location="cpu", weights_only=True)'  # the packaged ImageNet weights
    for path in SOURCES:
        text = path.read_text()
        if path.name == "pretrained.py":
            assert text.count(tensors_only) == 1
            text = text.replace(tensors_only, "")
        for word in ("import pickle", "torch.load(", "allow_pickle=True", "joblib.load"):
            assert word not in text, f"{path.name} has {word}"
