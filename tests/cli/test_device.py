"""`--device` of the commands: which device computes, what is kept of it, and what it reports."""

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.cli import main as cli
from facelab.cli.main import main
from facelab.data.images import ImageFolder
from facelab.evaluation import photo_pool
from facelab.evaluation.photo_pool import embed_images
from facelab.models import checkpoint
from tests.conftest import refused


@pytest.fixture
def crops(tmp_path):
    for i in range(6):
        (tmp_path / "crops" / f"p{i % 3}").mkdir(parents=True, exist_ok=True)
        noise = Image.effect_noise((112, 112), 20 + 30 * i).convert("RGB")
        noise.save(tmp_path / "crops" / f"p{i % 3}" / f"{i}.png")
    return tmp_path / "crops"


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:77"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(
    name, capsys, crops, own_cache_and_models, tmp_path
):
    out = str(tmp_path / "x.npz")
    for words in (
        ("embed", "tiny", crops, out),
        ("evaluate", "tiny", "--images", crops, "--identify"),
        ("calibrate", "tiny", "--images", crops),
        ("train", "resnet_softmax", "--out", tmp_path / "x.safetensors"),
    ):
        assert "device" in refused(capsys, *words, "--device", name)


@pytest.mark.parametrize("asked", [[], ["--device", "cpu"]])
def test_the_device_is_said_and_kept_in_the_checkpoint(capsys, crops, tmp_path, asked):
    out = tmp_path / "x.safetensors"
    small = ["--backbone", "mobilenet_face", "--neck", "pool", "--embedding-dim", "8", "--epochs", "1"]
    words = ["train", "resnet_softmax", "--data", str(crops), "--out", str(out), *small, "--batch-size", "4"]
    assert main([*words, "--held-out", "0", *asked]) == 0
    assert "device: cpu (" in capsys.readouterr().err
    assert checkpoint.describe(out).device.startswith("cpu (")


def test_a_checkpoint_from_before_devices_were_kept_is_read(tiny_run):
    values = tiny_run[2].to_json()
    old = values.replace(', "device": ""', "")
    assert old != values and checkpoint.Header.from_json(old) == checkpoint.Header.from_json(values)


def test_crops_are_embedded_in_batches_that_change_nothing(crops, tiny_checkpoint, monkeypatch):
    folder, sizes = ImageFolder(crops), []
    whole, _ = embed_images(str(tiny_checkpoint), folder, folder.names, aligned=True)
    real = photo_pool.embed_batch

    def watched(embedder, faces):
        sizes.append(len(faces))
        return real(embedder, faces)

    monkeypatch.setattr(photo_pool, "embed_batch", watched)
    monkeypatch.setattr(photo_pool, "BATCH", 4)
    parts, _ = embed_images(str(tiny_checkpoint), folder, folder.names, aligned=True)
    assert sizes == [4, 2] and list(parts) == list(whole)
    assert all(np.allclose(parts[name], whole[name], atol=1e-5) for name in whole)


def test_memory_that_runs_out_is_one_sentence(capsys, monkeypatch):
    def command() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore words")

    monkeypatch.setattr(cli, "find_command", lambda name: command)
    assert "lower --batch-size" in refused(capsys, "models")
    monkeypatch.setattr(cli, "find_command", lambda name: lambda: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError):  # a mistake of ours stays one
        main(["models"])
