"""Export an embedder as one ONNX file, for runtimes without PyTorch.

The graph takes aligned crops as float32 (B, 3, 112, 112), RGB in [-1, 1], for any B, and returns embeddings
(B, D). It can include the mirrored crop and the L2 normalization, so that the dot product of two rows is the
cosine for which the thresholds were measured. The metadata holds the thresholds and the preprocessing.
"""

import json
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facelab.models.checkpoint import Header
from facelab.models.model import FaceModel
from facelab.photos.faces import CROP_SIZE
from facelab.settings.extras import explained

OPSET = 20


class Embedding(nn.Module):
    """Compute what is exported: (B, 3, 112, 112) in [-1, 1] -> (B, D).

    Args:
        model: the network.
        flip: add the embedding of the mirrored crop.
        normalize: divide each embedding by its L2 norm.
    """

    def __init__(self, model: FaceModel, flip: bool, normalize: bool) -> None:
        super().__init__()
        self.model, self.flip, self.normalize = model, flip, normalize

    def forward(self, crops: Tensor) -> Tensor:
        """Embed crops."""
        embeddings = self.model(crops)
        if self.flip:
            embeddings = embeddings + self.model(crops.flip(3))
        return F.normalize(embeddings, dim=1) if self.normalize else embeddings


def metadata(header: Header, name: str, flip: bool, normalize: bool) -> dict[str, str]:
    """Return the metadata: one text for each key, numbers and tables as JSON."""
    points = header.operating_points
    said = {
        "name": name,
        "input_size": [CROP_SIZE, CROP_SIZE],
        "color_order": "RGB",
        "mean": 127.5,  # (pixel - mean) * scale
        "scale": 1 / 127.5,
        "flip": flip,
        "normalize": normalize,
        "similarity": "cosine",
        "thresholds": {
            f"{far:g}": points.threshold_for(far)
            for far in (0.1, 0.01, 0.001)
            if points and points.covers(far)
        },
        "thresholds_measured": flip,  # they hold for flip-averaged embeddings
        "calibrated_on": points.source if points else "",
        "data": header.data,
    }
    return {
        f"facelab.{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in said.items()
    }


def export_onnx(
    path: str | os.PathLike,
    model: FaceModel,
    header: Header,
    name: str,
    flip: bool = True,
    normalize: bool = True,
) -> None:
    """Write an embedder as an ONNX file, atomically.

    Args:
        path: file to write.
        model: the network, on the CPU.
        header: header of its checkpoint.
        name: name of the model in the metadata.
        flip: add the embedding of the mirrored crop inside, as the thresholds were measured.
        normalize: divide by the L2 norm inside.

    Raises:
        MissingExtraError: the packages of the extra `onnx` are not installed.
        OSError: the file cannot be written.
    """
    with explained():
        import onnx
        import onnxscript  # noqa: F401  which PyTorch's exporter needs

    crops = torch.zeros(2, 3, CROP_SIZE, CROP_SIZE)  # a batch of one would be taken for a constant
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's exporter warns about its own calls
        program = torch.onnx.export(
            Embedding(model, flip, normalize).eval(),
            (crops,),
            input_names=["crops"],
            output_names=["embeddings"],
            dynamic_shapes={"crops": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    graph = program.model_proto
    onnx.helper.set_model_props(graph, metadata(header, name, flip, normalize))
    onnx.checker.check_model(graph)
    part = Path(path).with_name(f".{Path(path).name}.{os.getpid()}.part")
    try:
        part.write_bytes(graph.SerializeToString())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
