"""What `pip install .` installs: this package alone, its files, requirements, command and names."""

import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import facelab

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def test_its_requirements_are_those_of_requirements_txt():
    lines = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert PROJECT["project"]["dependencies"] == [line for line in lines if line]


def test_it_can_be_built_and_names_its_license_file():
    assert PROJECT["build-system"]["build-backend"] == "setuptools.build_meta"
    (needs,) = PROJECT["build-system"]["requires"]
    assert int(re.fullmatch(r"setuptools>=(\d+)", needs)[1]) >= 77  # older ones refuse `license = "..."`
    assert all((ROOT / name).is_file() for name in PROJECT["project"]["license-files"])


def test_it_is_found_alone_and_whole():
    """No other folder beside it is a package, and none of its own lacks the file that makes it one."""
    assert SETUPTOOLS["packages"]["find"] == {"include": ["facelab*"]}
    assert not list(ROOT.glob("facelab?*/"))
    folders = {path.parent for path in (ROOT / "facelab").rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_every_file_of_the_package_that_is_no_code_is_installed():
    listed = subprocess.run(["git", "ls-files", "facelab"], cwd=ROOT, capture_output=True, text=True).stdout
    data = {path.removeprefix("facelab/") for path in listed.splitlines() if not path.endswith(".py")}
    patterns = SETUPTOOLS["package-data"]["facelab"]
    covered = {
        path.relative_to(ROOT / "facelab").as_posix()
        for pattern in patterns
        for path in (ROOT / "facelab").glob(pattern)
    }
    assert data <= covered


def test_the_command_is_the_module(monkeypatch, capsys):
    module, _, name = PROJECT["project"]["scripts"]["facelab"].partition(":")
    monkeypatch.setattr("sys.argv", ["facelab", "compair"])
    assert getattr(importlib.import_module(module), name)() == 2
    assert "did you mean compare?" in capsys.readouterr().err


def test_the_example_of_the_package_runs_and_is_short(album, tmp_path, monkeypatch):
    for name, photo in (("first.jpg", "p0_0001.jpg"), ("second.jpg", "p0_0002.jpg")):
        (tmp_path / name).write_bytes((album / "p0" / photo).read_bytes())
    monkeypatch.chdir(tmp_path)
    ran = doctest.testmod(facelab)
    assert ran.failed == 0 and 3 <= ran.attempted <= 5


def test_public_names_are_what_their_rooms_call_so():
    assert {*facelab.__all__} == {
        "BACKBONES", "LOSSES", "RECIPES", "build_backbone", "build_loss", "compare", "evaluate", "find_faces",
        "load", "train",
    }  # fmt: skip
    for name in facelab.__all__:
        value = getattr(facelab, name)
        assert isinstance(value, dict) or (value.__name__ == name and value.__module__.startswith("facelab."))
    assert {*facelab.__all__} <= {*dir(facelab)}
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        facelab.lode  # noqa: B018


HEAVY = {"torch", "gradio", "umap", "sklearn", "dlib", "facenet_pytorch", "plotly"}


@pytest.mark.parametrize("code", ["import facelab", "from facelab.cli.main import main; main(['--help'])"])
def test_the_package_and_its_help_need_no_library_that_is_slow_to_import(code):
    code += "; import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())


def test_a_list_of_models_builds_no_network():
    """What holds a header against its tensors builds a network, for which PyTorch loads its compiler."""
    code = "from facelab.cli.main import main; import sys; main(['models'])"
    code += "; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "strong" in done.stdout and not {"torch._dynamo", "gradio", "umap"} & set(done.stderr.split())
