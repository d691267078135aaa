"""`train --shard-classes` and `--stream` reach what they are for."""

import pytest

from facelab.cli import train as cli_train
from facelab.cli.main import main

WORDS = ("train", "resnet_softmax", "--identities", "6", "--per-identity", "2", "--out")


@pytest.mark.parametrize(("flags", "expected"), [((), False), (("--shard-classes",), True)])
def test_shard_classes_is_handed_to_the_trainer(flags, expected, monkeypatch, tmp_path):
    asked = []

    def nothing(recipe, data, state, device, shard):
        asked.append(shard)
        return iter(())

    monkeypatch.setattr(cli_train, "train_recipe", nothing)
    assert main([*WORDS, str(tmp_path / "a.safetensors"), *flags]) == 0
    assert asked == [expected]


def test_stream_reads_archives_in_place(monkeypatch, tmp_path, capsys):
    asked = []

    def refuse(paths, cache, track):
        asked.append(paths)
        raise ValueError("read in place")

    monkeypatch.setattr(cli_train, "open_archives", refuse)
    words = [*WORDS, str(tmp_path / "a.safetensors"), "--data", "a.zip", "b.tar", "--stream"]
    assert main(words) == 2 and asked == [("a.zip", "b.tar")]
    assert "read in place" in capsys.readouterr().err
