"""What `pip install .` installs: this package alone, with its files, its requirements and its command."""

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

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
