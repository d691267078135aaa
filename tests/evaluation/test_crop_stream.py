"""Crops that come one by one are embedded in batches, on the chosen device, in the order of their keys."""

import pickle
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facelab.cli import evaluate as cli_evaluate
from facelab.data.images import untracked
from facelab.evaluation import packed_pairs, templates
from facelab.evaluation.crop_stream import BATCH, embed_stream
from facelab.metrics.verification import cosine
from facelab.photos.faces import Photo
from facelab.recognition.embedder import Embedder


def counting(sizes: list[int]) -> Embedder:
    """An embedder whose embedding is the crop's first pixel; notes how many crops come at once."""

    def embed(photo, faces):
        sizes.append(len(faces))
        return np.stack([face.crop[0, 0].astype(np.float32) for face in faces])

    return Embedder("x", embed, cosine, "cosine similarity", None, crops_suffice=True)


def read(value: int):
    if value % 100 == 7:
        raise ValueError(f"{value} is broken")
    crop = np.full((112, 112, 3), value % 256, np.uint8)
    return Photo(crop, 1.0), crop


def test_batches_are_full_and_keys_keep_their_vectors():
    sizes: list[int] = []
    count = 2 * BATCH + 9
    items = [(key, lambda key=key: read(key)) for key in range(count)]
    vectors, failures = embed_stream(counting(sizes), items)
    broken = {key: f"{key} is broken" for key in range(count) if key % 100 == 7}
    assert failures == broken and set(vectors) == set(range(count)) - set(broken)
    assert all(vector.tolist() == [key % 256] * 3 for key, vector in vectors.items())
    assert sizes == [BATCH, BATCH, 9 - len(broken)]
    sizes.clear()
    looks = replace(counting(sizes), crops_suffice=False)  # as the reference, which needs each photo
    assert set(embed_stream(looks, items)[0]) == set(vectors) and set(sizes) == {1}
    assert embed_stream(looks, []) == ({}, {})


@pytest.mark.parametrize("kind", ["bin", "templates"])
def test_the_device_of_the_command_reaches_the_embedder(kind, monkeypatch, tmp_path):
    asked = []

    def load(name, flip, device):
        asked.append((name, flip, device))
        raise ValueError("enough")

    device = torch.device("meta")
    monkeypatch.setattr(cli_evaluate, "on_device", lambda name: (device, untracked))
    for module in (packed_pairs, templates):
        monkeypatch.setattr(module, "load", load)
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([b"a", b"b"], [True]), 4))
    lists = SimpleNamespace(names=(), landmarks=np.empty((0, 5, 2)))
    monkeypatch.setattr(templates, "read_templates", lambda folder: lists)
    monkeypatch.setattr(templates, "ImageFolder", lambda path: SimpleNamespace(names=[]))
    given = {"bin": str(tmp_path / "x.bin")} if kind == "bin" else {"images": "x", "templates": "y"}
    with pytest.raises(ValueError, match="enough"):
        cli_evaluate.evaluate("tiny", no_flip=True, device="cuda:1", **given)
    assert asked == [("tiny", False, device)]


def test_stored_embeddings_of_templates_are_scored_without_pytorch():
    code = "import sys, facelab.evaluation.template_scores; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
