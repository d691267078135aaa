"""An ONNX file as a model: the same scores as its checkpoint, and what is refused before it is run."""

import os

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from facelab.data.parametric import ParametricFaces  # noqa: E402
from facelab.models.model import embed  # noqa: E402
from facelab.models.onnx_export import export_onnx  # noqa: E402
from facelab.recognition.embedder import as_face, load  # noqa: E402
from facelab.recognition.onnx_embedder import open_onnx  # noqa: E402
from tests.conftest import one_sentence  # noqa: E402


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.asarray(ParametricFaces(3, 2, seed=4).rows(torch.arange(6))[0])


@pytest.mark.parametrize("inside", [True, False])
def test_scores_are_those_of_the_checkpoint(inside, crops, tiny_run, tmp_path):
    pytest.importorskip("onnxscript")
    model, _, header = tiny_run
    export_onnx(tmp_path / "tiny.onnx", model, header, "tiny", flip=inside, normalize=inside)
    embedder = load(str(tmp_path / "tiny.onnx"))
    ours = np.concatenate([embedder.embed(None, [as_face(crop)]) for crop in crops])
    theirs = embed(model, crops)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs)]
    np.testing.assert_allclose(unit[0] @ unit[0].T, unit[1] @ unit[1].T, atol=1e-4)
    assert not inside or np.allclose(ours, unit[0], atol=1e-4)  # what the graph sums is not summed again
    with pytest.raises(ValueError, match="has no thresholds yet"):
        embedder.calibrated()


def graph(shape=("n", 3, 112, 112), out=("n", 4), kind=TensorProto.FLOAT, weights=None, op="mean") -> bytes:
    """A tiny network: channel means times a matrix."""
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    matrix = weights or numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(3, 4), "w")
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]
    if op == "nan":
        nodes[1] = helper.make_node("MatMul", ["m", "w"], ["z"])
        nodes.append(helper.make_node("Div", ["z", "zero"], ["y"]))
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(out))],
        [axes, matrix, zero],
    )
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()


def outside() -> TensorProto:
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[3, 4], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def test_another_projects_network_takes_pixels_as_insightface_does(crops, tmp_path):
    (tmp_path / "a.onnx").write_bytes(graph())
    means = ((crops.astype(np.float64) - 127.5) / 127.5).mean((1, 2))
    expected = means @ np.arange(12).reshape(3, 4)
    np.testing.assert_allclose(open_onnx(tmp_path / "a.onnx", flip=False)(crops), expected, atol=1e-4)
    np.testing.assert_allclose(open_onnx(tmp_path / "a.onnx")(crops), 2 * expected, atol=1e-4)


@pytest.mark.parametrize("batch", [1, "n"])
def test_a_declared_size_is_kept_to(batch, crops, tmp_path):
    (tmp_path / "a.onnx").write_bytes(graph((batch, 3, 64, 64), (batch, 4)))
    assert open_onnx(tmp_path / "a.onnx")(crops).shape == (6, 4)


def with_ends(inputs: int, outputs: int, domain: str = "") -> bytes:
    """A network of that many inputs and outputs, all of whose operators are of one domain."""
    model = onnx.load_model_from_string(graph())
    for _ in range(inputs - 1):
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    if outputs == 0:
        model.graph.ClearField("output")
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
        model.graph.node[-1].domain = domain
    return model.SerializeToString()


HOSTILE = {
    "two inputs": (with_ends(2, 1), "2 inputs and 1 outputs; it must have one input and an output"),
    "no output": (with_ends(1, 0), "0 outputs; it must have one input and an output|is not a network"),
    "a custom operator": (with_ends(1, 1, "evil"), "is not a network that onnxruntime can run: .*[^.]$"),
    "rubbish": (b"no model", "is no"),
    "empty": (b"", "takes|is no"),
    "weights elsewhere": (graph(weights=outside()), "keeps weights in other files"),
    "another input": (graph(("n", 5, 112, 112)), "is not a network|it must take float32"),
    "integers": (graph(kind=TensorProto.INT64), "is not a network|it must take float32"),
    "not square": (graph(("n", 3, 112, 96)), "they must be square"),
    "enormous": (graph(("n", 3, 9000, 9000)), "16 to 448 pixels"),
    "a fixed batch": (graph((7, 3, 112, 112)), "takes 7 images at once"),
    "NaN": (graph(op="nan"), "NaN or infinity"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_embedder_gets_one_sentence(case, tmp_path):
    data, words = HOSTILE[case]
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(ValueError, match=words) as stop:
        open_onnx(tmp_path / "a.onnx")
    assert one_sentence(str(stop.value), tmp_path)


def test_a_graph_that_was_replaced_is_read_again(crops, tmp_path):
    path, seen = tmp_path / "a.onnx", []
    for factor in (1, 2):
        weights = factor * np.arange(12, dtype=np.float32).reshape(3, 4)
        path.write_bytes(graph(weights=numpy_helper.from_array(weights, "w")))
        os.utime(path, (factor, factor))
        seen.append(load(str(path)).embed(None, [as_face(crops[0])]))
    np.testing.assert_allclose(seen[1], 2 * seen[0], rtol=1e-5)


def test_one_view_is_embedded_where_that_is_asked(crops, tmp_path):
    (tmp_path / "a.onnx").write_bytes(graph())  # to which a face and its mirror image are the same
    one, two = (
        load(str(tmp_path / "a.onnx"), flip).embed(None, [as_face(crops[0])]) for flip in (False, True)
    )
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)


def test_a_file_that_is_not_there_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="there is no model"):
        load(str(tmp_path / "nowhere.onnx"))
