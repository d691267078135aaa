"""What `pip install .` installs: this package alone, its files, requirements, command and names."""

import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from PIL import Image

import facelab
from facelab.models import zoo
from facelab.settings import extras
from tests.conftest import one_sentence

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
SPACE = ("app", "reference", "imagenet", "hub")  # what a Space and `make run` install
CORE = {"torch", "numpy", "pillow", "safetensors", "tyro", "tqdm"}


def pins(name):
    """The lines of a requirements file, without comments and what it includes."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines())
    return {line for line in lines if line and not line.startswith("-r ")}


def needs(*extras):
    """What the package needs with these extras, those that they name followed."""
    found = set(PROJECT["project"]["dependencies"]) if not extras else needs()
    for line in (line for extra in extras for line in EXTRAS[extra]):
        own = re.fullmatch(r"facelab\[(.+)\]", line)
        found |= needs(*own[1].split(",")) if own else {line}
    return found


def test_the_core_is_six_packages():
    assert {line.partition("==")[0] for line in needs()} == CORE


def test_requirements_files_are_those_of_the_extras():
    assert pins("requirements.txt") == needs(*SPACE)
    assert pins("requirements-dev.txt") == needs("dev") - needs(*SPACE)


def test_each_extra_has_its_sentence_and_no_other_is_promised():
    assert {*extras.EXTRAS} == {*EXTRAS} - {"dev"}
    of_modules = packages_distributions()
    for extra, (_, modules) in extras.EXTRAS.items():
        brought = {re.split(r"[=><\[]", line)[0].replace("_", "-").lower() for line in needs(extra)}
        direct = {name.replace("_", "-").lower() for name in of_modules.get(modules[0], ())}
        assert direct <= brought, f"{modules[0]} does not come with {extra}"


def test_it_can_be_built_and_names_its_license_files():
    assert PROJECT["build-system"]["build-backend"] == "hatchling.build"
    (needed,) = PROJECT["build-system"]["requires"]
    assert re.fullmatch(r"hatchling>=1\.27", needed)  # older ones refuse `license = "..."`
    assert all((ROOT / name).is_file() for name in PROJECT["project"]["license-files"])


def test_it_is_whole():
    """The package with every file, and the checkpoints inside it."""
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["facelab"] and wheel["force-include"] == {
        "checkpoints": "facelab/checkpoints"
    }
    folders = {path.parent for path in (ROOT / "facelab").rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_checkpoints_lie_in_the_package_or_beside_a_checkout(tmp_path):
    package = tmp_path / "facelab"
    (tmp_path / "checkpoints").mkdir()
    package.mkdir()
    assert zoo.shipped(package) == package / "checkpoints"  # a folder beside an installed package is not ours
    (tmp_path / "app.py").touch()
    assert zoo.shipped(package) == tmp_path / "checkpoints"
    (package / "checkpoints").mkdir()
    assert zoo.shipped(package) == package / "checkpoints"
    assert zoo.CHECKPOINTS == ROOT / "checkpoints"


BARE = """
import sys
from importlib.machinery import PathFinder
from facelab.settings.extras import EXTRAS
absent, find = {module for _, modules in EXTRAS.values() for module in modules}, PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in absent else find(name, *rest)
"""


def bare(code):
    """Run Python without any package of an extra."""
    command = [sys.executable, "-c", BARE + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_core_embeds_and_judges_without_any_extra():
    done = bare("""
import numpy as np, facelab
from facelab.metrics.verification import all_pairs, roc
from facelab.models.model import FaceModel, embed
embed(FaceModel("resnet_face", "pool", embedding_dim=16), np.zeros((4, 112, 112, 3), np.uint8))
facelab.build_loss("arcface", 16, num_classes=4, options={"margin": 0.3, "scale": 24.0})
curve = roc(*all_pairs(np.eye(4)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])))
print(curve.equal_error_rate()[0])
for module in ("cli.evaluate", "cli.data", "cli.models", "cli.train", "training.loop", "evaluation.evaluate"):
    __import__(f"facelab.{module}")
""")
    assert (done.stdout.strip(), done.stderr) == ("0.0", "")


NEED_EXTRAS = {
    "app": "app",
    "compare a.png b.png": "photos",
    "train softmax --out x.safetensors": "train",
    "export strong --onnx x.onnx": "onnx",
    "data olivetti out": "train",
    "push strong me/mine": "hub",
}


def test_what_needs_an_extra_names_it_in_one_sentence(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (200, 200), "teal").save(tmp_path / name)
    done = bare(f"""
import os
from facelab.cli.main import main
os.chdir({str(tmp_path)!r})
for command in {[*NEED_EXTRAS]}:
    assert main(command.split()) == 2, command
import facelab
try:
    facelab.compare("a.png", "b.png")
except ImportError as error:
    print(error, file=sys.stderr)
""")
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (0, "", len(NEED_EXTRAS) + 1), done.stderr
    for line, extra in zip(lines, (*NEED_EXTRAS.values(), "photos")):
        assert line.endswith(f'`pip install "facelab[{extra}]"`') and one_sentence(line)
    assert not {"x.safetensors", "x.onnx"} & {path.name for path in tmp_path.iterdir()}


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


def test_the_lock_holds_every_pin_with_its_hashes():
    """`uv lock` writes it; each file of each package has a hash, and comes from a registry."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    locked = {package["name"]: package for package in lock["package"]}
    for line in needs("dev"):
        name, _, version = line.partition("==")
        found = [
            package["version"]
            for package in lock["package"]
            if package["name"] == name.lower().replace("_", "-")
        ]
        assert found == [version], f"{line} is not what uv.lock has; run `uv lock`"
    assert locked.pop("facelab")["source"] == {"editable": "."}
    for package in locked.values():
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        assert files and all(file["hash"].startswith("sha256:") for file in files)
