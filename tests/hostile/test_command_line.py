"""Malformed files, given to the commands that read them: a result, or one sentence and status 2."""

import pytest

from facelab.cli.main import main
from tests.conftest import CROP, one_sentence

EACH = 20  # every so manyth file
COMMANDS = {  # what is typed for a file of each kind; T is the file, M a good model, C a folder of crops
    "photo": (["compare", "T", "T", "--model", "M"],),
    "archive": (["data", "unpack", "T", "out"], ["data", "info", "T"]),
    "gallery": (["evaluate", "T", "--all-pairs"],),
    "checkpoint": (["compare", "P", "P", "--model", "T"],),
    "list": (["evaluate", "M", "--images", "C", "--aligned", "--jobs", "1", "--pairs", "T"],),
    "recipe": (["train", "T", "--data", "C", "--out", "out.safetensors", "--epochs", "x"],),
    "format": (["data", "info", "T"], ["data", "convert", "T", "out"]),
}


@pytest.mark.parametrize("group", COMMANDS)
def test_a_command_ends_with_a_result_or_a_sentence(
    group, corpus, tiny_checkpoint, tmp_path, monkeypatch, capsys
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("facelab.cli.main.CACHE", tmp_path / "cache")
    for person in "ab":
        (here / "crops" / person).mkdir(parents=True)
        (here / "crops" / person / "1.png").write_bytes(CROP)
    known = {"M": str(tiny_checkpoint), "C": str(here / "crops"), "P": str(here / "crops/a/1.png")}
    files = [path for kind, path in corpus if kind == group]
    refused = 0
    for path in [*files[:1], *files[1::EACH]]:
        for argv in COMMANDS[group]:
            try:
                status = main([known.get(word, str(path) if word == "T" else word) for word in argv])
            except SystemExit as end:  # of a flag that is none
                status = end.code
            said = capsys.readouterr()
            assert status in (0, 2), (argv, path.name, said.err)
            refused += status == 2
            assert "Traceback" not in said.err + said.out, (argv, path.name)
            if status == 2 and said.err.startswith("facelab: "):
                assert one_sentence(said.err) and len(said.err) < 1000, (argv, path.name, said.err)
    assert {path.name for path in tmp_path.iterdir()} <= {"here", "cache"}, "something lies outside"
    assert refused, "nothing of this kind was refused"
