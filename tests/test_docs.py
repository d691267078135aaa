"""Documents: links resolve, commands and examples run as written, and figures equal those of the files."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.cli.main import main
from facelab.data.parametric import ParametricFaces
from facelab.evaluation import results
from facelab.models import zoo
from tests.conftest import as_zip, link
from tests.documents import MARKERS, NOT_RUN, ROOT, blocks, documents, name_of, prose

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
OUTSIDE = ("http://", "https://", "mailto:")
TESTED_ELSEWHERE = {"docs/homework.md": "tests/training/test_homework.py"}
RUN = [path for path in documents() if name_of(path) not in TESTED_ELSEWHERE]
IDENTITIES, CROPS = 12, 6
SMALL = {  # what a command of a document gets, so that it ends in seconds
    "train": {"--backbone": "alexnet_face", "--epochs": "1", "--neck": "pool", "--embedding-dim": "16",
              "--batch-size": "16", "--precision": "fp32", "--held-out": "0.3"},
    "blend": {"--count": "4"},
    **{name: {"--jobs": "1"} for name in ("evaluate", "calibrate", "embed", "prepare")},
}  # fmt: skip
KEPT = (
    "--backbone",
    "--embedding-dim",
    "--neck",
    "--held-out",
)  # where a document gives these, they are meant


def anchors(path: Path) -> set[str]:
    """The fragments that GitHub gives a document's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).lower()
        slug = "".join(c for c in text if c.isalnum() or c in "-_ ").replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-{sum(s.startswith(slug) for s in found)}")
    return found


def links(path: Path) -> list[str]:
    """Targets of a document's links and pictures that lie in this project."""
    return [target for target in LINK.findall(prose(path)) if not target.startswith(OUTSIDE)]


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_links_and_pictures_lead_somewhere(path):
    for target in links(path):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists() and ROOT in (found, *found.parents), target
        assert not anchor or anchor in anchors(found), target


def test_no_document_and_no_picture_is_an_orphan():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            found = ((path.parent / target.partition("#")[0]).resolve() for target in links(path))
            waiting += [file for file in found if file.suffix == ".md"]
    assert not {name_of(path) for path in documents()} - {name_of(path) for path in reached}
    shown = {(path.parent / target).resolve() for path in reached for target in links(path)}
    assert not {path.name for path in (ROOT / "docs" / "pictures").iterdir()} - {path.name for path in shown}


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_every_command_is_run_or_says_why_not(path):
    for block in blocks(path):
        assert block.marker in MARKERS, f"{block.marker!r} is no marker of a fence; see tests/documents.py"
        if name_of(path) not in TESTED_ELSEWHERE and re.search(r"-m facelab|^make |^curl ", block.text, re.M):
            assert block.language == "sh", f"mark as sh: {block.text[:60]}"


@pytest.fixture
def desk(album, own_cache_and_models, tmp_path, monkeypatch) -> Path:
    """A folder with the files that documents name, in small: photos, crops, lists, the shipped models."""
    root = tmp_path / "desk"
    (root / "photos").mkdir(parents=True)
    for i, name in enumerate("ab", 1):
        (root / f"{name}.jpg").write_bytes((album / "p1" / f"p1_{i:04d}.jpg").read_bytes())
    for person in ("p1", "p2", "p3"):
        link(root / "photos" / person, album / person)
    as_zip(album, root / "lfw.zip")
    pairs = [f"p{p}\t{i}\t{i + 1}" for p in (1, 2, 3) for i in (1, 2)]
    pairs += [f"p{p}\t{i}\tp{q}\t{i}" for p, q in ((1, 2), (2, 3), (1, 3)) for i in (1, 2)]
    (root / "pairs.txt").write_text("\n".join(line.replace("\t", " ") for line in _as_names(pairs)))
    (root / "peopleDevTest.txt").write_text("3\np1\t3\np2\t3\np3\t3\n")
    crops, labels = ParametricFaces(IDENTITIES, CROPS, seed=6).rows(torch.arange(IDENTITIES * CROPS))
    for i, (crop, label) in enumerate(zip(np.asarray(crops), labels.tolist())):
        folder = root / ("other" if i % CROPS == 0 else "crops") / f"id{label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(folder / f"{label}_{i}.png")
    tiny = zoo.CHECKPOINTS / "tiny.safetensors"
    for name in ("strong", "softmax", "resnet_softmax"):
        (zoo.CHECKPOINTS / f"{name}.safetensors").write_bytes(tiny.read_bytes())
    monkeypatch.chdir(root)
    return root


def _as_names(pairs: list[str]) -> list[str]:
    """`image1 image2 label` lines for LFW's short ones."""
    out = []
    for line in pairs:
        a, i, *rest = line.split("\t")
        b, j = (a, rest[0]) if len(rest) == 1 else rest
        out.append(f"{a}/{a}_{int(i):04d}.jpg\t{b}/{b}_{int(j):04d}.jpg\t{int(a == b)}")
    return out


def small(words: list[str]) -> list[str]:
    """A command's words with the flags of SMALL, which replace those that the document gives."""
    kind = words[1] if words[0] == "data" else words[0]
    flags = dict(SMALL.get(kind, {}))
    if kind == "train" and "--data" not in words:
        flags |= {"--identities": str(IDENTITIES), "--per-identity": str(CROPS)}
    if "--init-from" in words:
        flags.pop("--backbone")  # the network that is gone on with
    for flag, value in flags.items():
        if flag not in words:
            words = [*words, flag, value]
        elif flag not in KEPT:
            words[words.index(flag) + 1] = value
    return words


@pytest.mark.parametrize(
    "path", [path for path in RUN if any(b.language == "sh" for b in blocks(path))], ids=name_of
)
def test_commands_run_as_written(path, desk, capsys):
    for block in blocks(path):
        if block.language == "sh" and not block.marker:
            for command in block.commands:
                words = shlex.split(command)
                assert words[:3] == ["python", "-m", "facelab"], command
                assert main(small(words[3:])) == 0, f"{command}: {capsys.readouterr().err}"


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_commands_that_are_not_run_exist(path, capsys):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks(path):
        for command in block.commands if block.marker in NOT_RUN else ():
            made = re.search(r"\bmake (\w+)", command)
            assert not made or made[1] in targets, command
            called = re.search(r"-m facelab (.+)", command)
            if called:
                words = shlex.split(called[1])
                with pytest.raises(SystemExit, match="0"):
                    main([*words[: 2 if words[0] in ("train", "data") else 1], "--help"])
                known = set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))
                assert {word for word in words if word.startswith("--")} <= known, command
            program = re.match(r"python (\S+\.py)", command)
            assert not program or (ROOT / program[1]).is_file(), command


@pytest.mark.parametrize(
    "path", [path for path in documents() if any(b.language == "python" for b in blocks(path))], ids=name_of
)
def test_python_examples_run_as_written(path, desk, capsys):
    names: dict[str, object] = {}
    for block in blocks(path):
        if block.language == "python" and not block.marker:
            exec(
                compile(block.text, name_of(path), "exec"), names
            )  # what the document says, and nothing else


def tables(path: Path) -> list[tuple[list[str], list[list[str]]]]:
    """(columns, rows) of a document's tables."""
    out = []
    for text in re.findall(r"(?:^\|.*\n)+", path.read_text("utf-8"), re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line.strip("| \n").split("|")] for line in text.splitlines()
        )
        out.append((head, rows))
    return out


def test_figures_of_the_readme_are_those_of_the_files():
    found = [table for table in tables(ROOT / "README.md") if table[0][0] == "model"]
    assert [head for head, _ in found] == [["model", "loss", "accuracy", "EER", "TAR@FAR=1%"]] * 2
    for name, _, *cells in (row for _, rows in found for row in rows):
        figures = results.header(re.search(r"`(\w+)`", name)[1]).metrics["lfw_view2"]
        rates = figures["accuracy"], figures["eer"], figures["tar_at_far"]["0.01"]
        assert cells == [f"{rate:.1%}" for rate in rates], name


def test_figures_in_the_readme_s_sentences_are_those_of_the_files():
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    strong, plain = (results.header(name) for name in ("strong", "resnet_softmax"))
    rejected = 1 - strong.metrics["lfw_view2"]["tar_at_far"]["0.01"]
    assert f"`strong` still rejects {rejected:.1%} of genuine pairs" in text
    crops = int(re.search(r"(\d+) crops", plain.data)[1])
    assert f"{crops:,} CelebA crops of {plain.num_classes} identities" in text
    points = json.loads((zoo.CHECKPOINTS / "reference.json").read_text())
    assert (
        f"{int(re.search(r'([0-9,]+) people', points['source'])[1].replace(',', '')):,} test identities"
        in text
    )
