"""A stranger's graph in a process of its own: the same vectors, a limit on memory, and an end."""

import gc

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from facelab.recognition import onnx_child  # noqa: E402
from facelab.recognition.onnx_child import OnnxChild  # noqa: E402
from facelab.recognition.onnx_embedder import BATCH, opened  # noqa: E402
from tests.conftest import one_sentence  # noqa: E402
from tests.recognition.test_onnx_embedder import graph  # noqa: E402

CROPS = np.random.default_rng(0).integers(0, 255, (BATCH + 3, 112, 112, 3), dtype=np.uint8)


def greedy(numbers: int) -> bytes:
    """A graph that spreads one number over that many."""
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    rest = numpy_helper.from_array(np.array([2, 3], np.int64), "rest")
    shape = numpy_helper.from_array(np.array([1, numbers], np.int64), "shape")
    nodes = [
        helper.make_node("ReduceMean", ["x", "rest"], ["a"], keepdims=0),
        helper.make_node("ReduceMean", ["a", "axis"], ["b"], keepdims=1),
        helper.make_node("Expand", ["b", "shape"], ["c"]),
        helper.make_node("ReduceMean", ["c", "axis"], ["d"], keepdims=1),
        helper.make_node("Concat", ["d", "d"], ["y"], axis=1),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 112, 112])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [axis, rest, shape],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()


@pytest.mark.parametrize("flip", [True, False])
def test_the_vectors_are_those_of_the_graph_and_the_process_ends_with_the_model(flip):
    child = OnnxChild("a.onnx", graph(), flip)
    np.testing.assert_allclose(child(CROPS), opened("a.onnx", graph(), flip)(CROPS), rtol=1e-5, atol=1e-5)
    process = child._process
    del child
    gc.collect()
    assert process.poll() is not None


def test_a_model_whose_process_is_over_says_so():
    child = OnnxChild("a.onnx", graph())
    child._process.kill()
    with pytest.raises(ValueError, match="took too long or more than 1024 MB"):
        child(CROPS)
    child.end()


def test_what_the_check_of_the_graph_says_comes_back():
    for data, words in ((b"junk", "is not an ONNX file"), (graph(op="nan"), "gives NaN")):
        with pytest.raises(ValueError, match=words) as told:
            OnnxChild("a.onnx", data)
        assert one_sentence(str(told.value))


@pytest.mark.skipif(not onnx_child.can_limit(), reason="this system cannot limit a process's memory")
def test_a_graph_that_wants_more_memory_than_its_limit_is_refused():
    child = OnnxChild("small.onnx", greedy(2**10))
    assert child(CROPS[:1]).shape == (1, 2)
    child.end()
    with pytest.raises(ValueError, match=r"cannot embed a crop|more than"):
        OnnxChild("large.onnx", greedy(2**29), memory=2**28)  # 2 GB, of which 256 MB may be had


def test_only_a_few_run_at_once(monkeypatch):
    monkeypatch.setattr(onnx_child, "MOST", 1)
    child = OnnxChild("a.onnx", graph())
    with pytest.raises(ValueError, match="1 ONNX models are open"):
        OnnxChild("b.onnx", graph())
    child.end()
    OnnxChild("b.onnx", graph()).end()


def test_an_answer_that_is_not_in_form_is_refused(tmp_path):
    late, head = "late", onnx_child.HEAD
    for content in (b"", b"x" * 9, head.pack(b"v", 99, 4), head.pack(b"v", 2, 4) + bytes(8)):
        (tmp_path / "said").write_bytes(content)
        with open(tmp_path / "said", "rb") as file, pytest.raises(ValueError, match=late):
            onnx_child._answer(file, late)
