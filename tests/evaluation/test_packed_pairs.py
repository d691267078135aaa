"""`evaluate MODEL --bin`: the field's 10-fold accuracy, against a by-hand computation."""

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.cli.main import main
from facelab.data.parametric import ParametricFaces
from facelab.metrics.verification import fold_accuracy
from facelab.models import checkpoint
from facelab.models.model import embed
from tests.conftest import encoded, refused

pytestmark = pytest.mark.usefixtures("own_cache_and_models")


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """48 rendered crops, four of each person."""
    return np.asarray(ParametricFaces(12, 4, seed=5).rows(torch.arange(48))[0])


def test_accuracy_is_that_of_ten_stretches_of_the_file(crops, tiny_checkpoint, tmp_path, capsys):
    rng = np.random.default_rng(0)
    pairs = [(4 * p + a, 4 * p + b, True) for p in range(12) for a, b in ((0, 1), (2, 3))]
    pairs += [(*rng.choice(48, 2, replace=False).tolist(), False) for _ in range(23)]
    pairs = [pairs[i] for i in rng.permutation(len(pairs))]  # 47: the first seven folds have five pairs
    same = np.array([a // 4 == b // 4 for a, b, _ in pairs])
    images = [encoded(Image.fromarray(crop), "PNG") for crop in crops]
    path = tmp_path / "small.bin"
    path.write_bytes(pickle.dumps(([images[i] for a, b, _ in pairs for i in (a, b)], same.tolist()), 4))
    assert main(["evaluate", "tiny", "--bin", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    vectors = embed(checkpoint.load(tiny_checkpoint)[0], crops).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.array([unit[a] @ unit[b] for a, b, _ in pairs])
    folds = np.repeat(np.arange(10), [5] * 7 + [4] * 3)
    assert report["accuracy"] == pytest.approx(fold_accuracy(scores, same, folds).mean(), abs=1e-9)
    assert (report["pairs"], report["skipped"]) == (47, 0)


def test_an_unreadable_image_is_told_by_its_place(crops, tmp_path, capsys):
    images = [encoded(Image.fromarray(crop), "PNG") for crop in crops[:8]]
    images[3] = b"\x89PNG broken"
    (tmp_path / "b.bin").write_bytes(pickle.dumps((images, [True, True, True, False]), 4))
    assert main(["evaluate", "tiny", "--bin", str(tmp_path / "b.bin")]) == 0
    out, err = capsys.readouterr()
    assert "4 pairs, 1 skipped" in out and "pair 2, second image: The file is not a photo" in err


def test_what_does_not_go_together_is_refused(crop_folder, tmp_path, capsys):
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([b"a", b"b"], [None]), 4))
    assert "opcode NONE" in refused(capsys, "evaluate", "tiny", "--bin", tmp_path / "x.bin")
    assert "holds identities and no pairs" in refused(capsys, "evaluate", "tiny", "--bin", crop_folder)
    assert "brings its own crops" in refused(capsys, "evaluate", "--bin", tmp_path / "x.bin")
    both = ("evaluate", "tiny", "--bin", tmp_path / "x.bin", "--images", crop_folder)
    assert "brings its own crops" in refused(capsys, *both)
