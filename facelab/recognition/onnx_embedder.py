"""An ONNX file as a model: ours, or another project's embedder of aligned crops, run by onnxruntime on the
CPU.

Needs the extra `onnx`. A file may come from a stranger, so it is looked at before it is run: it must hold its
own weights (a graph can name files beside it), take one batch of square RGB images and give one vector for
each. Without our metadata, pixels are mapped to [-1, 1], as InsightFace's embedders take them.
"""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from facelab.photos import CROP_SIZE
from facelab.settings.extras import explained

if TYPE_CHECKING:  # a process that runs one graph needs no network of ours
    from facelab.photos.faces import Face, Photo

MAX_BYTES = 512 * 2**20
MAX_SIDE = 448  # pixels
MAX_DIMENSION = 8192
MAX_NODES = 20_000
SECONDS = 30  # that one batch may take
BATCH = 32


@dataclass(frozen=True, eq=False)
class OnnxEmbedder:
    """Aligned crops in, vectors out.

    Attributes:
        session: of onnxruntime.
        side: pixels of the square input.
        channels_first: whether the input is (B, 3, S, S) rather than (B, S, S, 3).
        batch: crops at once; 1 where the graph says so.
        mean, scale: (pixel - mean) * scale.
        flip: whether to add the embedding of the mirrored crop, which a graph of ours does inside.
    """

    session: Any
    side: int
    channels_first: bool
    batch: int
    mean: float
    scale: float
    flip: bool

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Embed uint8 crops (N, 112, 112, 3) -> float32 (N, D).

        Raises:
            ValueError: the graph fails, takes too long or gives something else.
        """
        x = (self._resized(crops).astype(np.float32) - self.mean) * self.scale
        out = self._run(x)
        return out + self._run(x[:, :, ::-1]) if self.flip else out

    def _resized(self, crops: np.ndarray) -> np.ndarray:
        if self.side == CROP_SIZE:
            return crops
        size = (self.side, self.side)
        return np.stack(
            [np.asarray(Image.fromarray(c).resize(size, Image.Resampling.BILINEAR)) for c in crops]
        )

    def _run(self, x: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2) if self.channels_first else x)
        return np.concatenate([self._batch(x[i : i + self.batch]) for i in range(0, len(x), self.batch)])

    def _batch(self, x: np.ndarray) -> np.ndarray:
        import onnxruntime

        options = onnxruntime.RunOptions()
        timer = threading.Timer(SECONDS, lambda: setattr(options, "terminate", True))
        timer.start()
        try:
            name = self.session.get_inputs()[0].name
            out = self.session.run([self.session.get_outputs()[0].name], {name: x}, options)[0]
        except Exception as error:  # onnxruntime's own kinds
            words = " ".join(str(error).split())[:120]
            raise ValueError(f"the ONNX model cannot embed a crop within {SECONDS} s: {words}") from error
        finally:
            timer.cancel()
        out = np.asarray(out)
        if (
            out.dtype.kind != "f"
            or out.ndim != 2
            or len(out) != len(x)
            or not 1 < out.shape[1] <= MAX_DIMENSION
        ):
            raise ValueError(
                f"the ONNX model gives {out.dtype} {out.shape} for {len(x)} crops; it must be (B, D)"
            )
        if not np.isfinite(out).all():
            raise ValueError("the ONNX model gives NaN or infinity; export it again in float32")
        return out.astype(np.float32)

    def embed_faces(self, photo: "Photo", faces: "list[Face]") -> np.ndarray:
        """Embed faces of a photo -> (N, D) float32; compare by cosine."""
        return self(np.stack([face.crop for face in faces]))


def open_onnx(path: str | os.PathLike, flip: bool = True) -> OnnxEmbedder:
    """Open an embedder and try it on one gray crop.

    Args:
        path: an .onnx file.
        flip: add the embedding of the mirrored crop, unless the graph does.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        ValueError: no such file, too large, no ONNX, weights in other files, or another kind of network.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name an .onnx file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_BYTES // 2**20} MB; export a smaller embedder")
    return opened(path.name, path.read_bytes(), flip)


def opened(name: str, data: bytes, flip: bool = True, threads: int = 0) -> OnnxEmbedder:
    """Open an embedder from the content of its file, as `open_onnx` does.

    Args:
        name: of the file, for messages.
        data: its content.
        flip: as in `open_onnx`.
        threads: that the runtime uses; 0 lets it choose.

    Raises:
        As `open_onnx`.
    """
    with explained():
        import onnx
        import onnxruntime
    try:
        graph = onnx.load_model_from_string(data)
        known = {entry.key: entry.value for entry in graph.metadata_props}
        outside, nodes = _outside(onnx, graph), len(graph.graph.node)
    except Exception as error:  # protobuf's own kinds
        raise ValueError(f"{name} is not an ONNX file; export it again") from error
    del graph
    if outside or nodes > MAX_NODES:
        raise ValueError(f"{name} keeps weights in other files or is too large; export it as one file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # which slows torch beside it
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds
        words = " ".join(str(error).split())[:120].rstrip(".")
        raise ValueError(f"{name} is not a network that onnxruntime can run: {words}") from error
    embedder = OnnxEmbedder(
        session, *_input(name, session), *_pixels(name, known), flip and not _flips(known)
    )
    embedder(np.full((1, CROP_SIZE, CROP_SIZE, 3), 128, np.uint8))
    return embedder


def _outside(onnx: Any, model: Any) -> bool:
    """Return whether any tensor of the graph, its subgraphs and functions lies in another file."""
    waiting, external = [model.graph, *model.functions], onnx.TensorProto.EXTERNAL
    while waiting:
        graph = waiting.pop()
        tensors = list(getattr(graph, "initializer", ()))
        for node in graph.node:
            for attribute in node.attribute:
                tensors += [attribute.t, *attribute.tensors]
                waiting += [attribute.g, *attribute.graphs]
        waiting = [graph for graph in waiting if graph.node]
        if any(tensor.data_location == external for tensor in tensors):
            return True
        if getattr(graph, "sparse_initializer", ()):
            return True
    return False


def _input(name: str, session: Any) -> tuple[int, bool, int]:
    """Return (side, whether channels come first, crops at once) of the graph's one input."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape if inputs else []
    kind = inputs[0].type if inputs else "nothing"
    places = {1: (2, 3), 3: (1, 2)}  # where the channels are: where height and width are
    channels = next((i for i in places if len(shape) == 4 and shape[i] == 3), None)
    if len(inputs) != 1 or not outputs:
        what = f"{len(inputs)} inputs and {len(outputs)} outputs"
        raise ValueError(f"{name} has {what}; it must have one input and an output, the embedding")
    if kind != "tensor(float)" or channels is None:
        raise ValueError(
            f"{name} takes {kind} {shape}; it must take float32 (B, 3, 112, 112) or (B, 112, 112, 3)"
        )
    sides = [shape[i] if isinstance(shape[i], int) else CROP_SIZE for i in places[channels]]
    if sides[0] != sides[1] or not 16 <= sides[0] <= MAX_SIDE:
        raise ValueError(
            f"{name} takes images of {sides[1]}x{sides[0]}; they must be square, 16 to {MAX_SIDE} pixels"
        )
    fixed = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else BATCH
    if fixed not in (1, BATCH):
        raise ValueError(f"{name} takes {fixed} images at once; export it with a batch of any size, or of 1")
    return sides[0], channels == 1, fixed


def _pixels(name: str, known: dict[str, str]) -> tuple[float, float]:
    """Return (mean, scale) of a pixel, from our metadata or InsightFace's usual ones."""
    try:
        mean, scale = (
            float(known.get(f"facelab.{key}", 127.5 if key == "mean" else 1 / 127.5))
            for key in ("mean", "scale")
        )
        if not (np.isfinite([mean, scale]).all() and scale):
            raise ValueError
    except ValueError as error:
        raise ValueError(f"{name} has metadata that are not numbers; export it again") from error
    return mean, scale


def _flips(known: dict[str, str]) -> bool:
    try:
        return json.loads(known.get("facelab.flip", "false")) is True
    except ValueError:
        return False
