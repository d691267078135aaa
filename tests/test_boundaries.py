"""House rules that a machine can check: which room may import what, sizes, and no photographs."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [*sorted((ROOT / "facelab").rglob("*.py")), ROOT / "app.py"]
HEAVY = {"gradio", "umap", "dlib", "facenet_pytorch", "plotly", "sklearn"}


def imports(path, top_level_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def in_ui(path):
    return "ui" in path.relative_to(ROOT).parts


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rooms(path):
    found = set(imports(path))
    if in_ui(path):
        assert not {name for name in found if name.startswith(("facelab.train", "facelab.losses"))}
        tabs = {
            f"facelab.ui.{p.stem}" for p in (ROOT / "facelab/ui").glob("*.py") if "TITLE" in p.read_text()
        }
        assert path.name == "__init__.py" or not found & tabs, "no tab imports another"
    else:
        assert "gradio" not in {name.split(".")[0] for name in found}
    assert len(path.read_text().splitlines()) <= 300, "a file that passes 300 lines is two files"


def test_training_needs_no_page_detector_or_map():
    """What `facelab.train` imports, followed through the project, holds none of the heavy extras."""
    todo, seen = ["facelab", "facelab.train"], set()
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
                todo.append(other)
    assert "facelab.model" in seen


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_under_40_lines(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines < 40, f"{node.name} has {lines} lines"


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
