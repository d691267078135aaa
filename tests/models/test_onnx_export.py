"""An exported embedder computes in onnxruntime what PyTorch does at every batch size; metadata say how."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from facelab.cli.main import main
from facelab.models import checkpoint
from facelab.models.model import embed, to_tensor
from facelab.models.onnx_export import metadata
from tests.conftest import refused

CROPS = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), np.uint8)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("flags", [[], ["--no-flip", "--no-normalize"]], ids=["whole", "bare"])
def test_it_equals_pytorch_at_any_batch_size_and_is_one_file(flags, tiny_checkpoint, tmp_path, recwarn):
    target = tmp_path / "tiny.onnx"
    assert main(["export", str(tiny_checkpoint), "--onnx", str(target), *flags]) == 0
    assert not recwarn.list  # of the exporter's own calls
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
    model, _, header = checkpoint.load(tiny_checkpoint)
    wanted = embed(model, CROPS, flip=not flags)
    if not flags:
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    running = session(target)
    for size in (1, 2, 5):
        (found,) = running.run(None, {"crops": to_tensor(CROPS[:size]).numpy()})
        np.testing.assert_allclose(found, wanted[:size], rtol=1e-5, atol=1e-5)
    said = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    assert json.loads(said["facelab.input_size"]) == [112, 112] and said["facelab.color_order"] == "RGB"
    mean, scale = (json.loads(said[f"facelab.{name}"]) for name in ("mean", "scale"))
    pixels = torch.from_numpy(CROPS[:1]).permute(0, 3, 1, 2).float()
    torch.testing.assert_close((pixels - mean) * scale, to_tensor(CROPS[:1]))
    thresholds = json.loads(said["facelab.thresholds"])
    assert thresholds["0.01"] == pytest.approx(header.operating_points.threshold_for(0.01))
    for name in ("flip", "normalize", "thresholds_measured"):
        assert json.loads(said[f"facelab.{name}"]) is not bool(flags)


def test_metadata_has_the_thresholds_that_were_measured_which_may_be_few_or_none(tiny_checkpoint):
    header = checkpoint.describe(tiny_checkpoint)
    points = header.operating_points
    few = sum(far > 0.03 for far in points.far)
    short = {name: getattr(points, name)[:few] for name in ("far", "threshold", "frr")}
    for kept, rates in ((replace(points, **short), ["0.1"]), (None, [])):
        said = metadata(replace(header, operating_points=kept), "tiny", True, True)
        assert list(json.loads(said["facelab.thresholds"])) == rates


def test_without_its_packages_it_is_one_sentence_and_no_file(tiny_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    target = tmp_path / "tiny.onnx"
    said = refused(capsys, "export", str(tiny_checkpoint), "--onnx", str(target))
    assert 'pip install "facelab[onnx]"' in said and not target.exists()
