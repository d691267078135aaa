"""`python -m facelab export`: convert a checkpoint for other runtimes."""

import sys
from typing import Annotated

from tyro.conf import arg

from facelab.models import checkpoint
from facelab.models.onnx_export import export_onnx
from facelab.models.zoo import find_checkpoint


def export(
    model: Annotated[str, arg(metavar="MODEL")],
    /,
    onnx: str,
    no_flip: bool = False,
    no_normalize: bool = False,
) -> None:
    """Write an embedder as one ONNX file, for runtimes without PyTorch.

    It takes aligned 112x112 crops, float32 (B, 3, 112, 112), RGB in [-1, 1], for any B; its metadata
    describes the preprocessing and the thresholds.

    Args:
        model: A checkpoint's name or path.
        onnx: The file to write.
        no_flip: Do not add the embedding of the mirrored crop.
        no_normalize: Do not divide embeddings by their L2 norm.
    """
    path = find_checkpoint(model)
    network, _, header = checkpoint.load(path)
    export_onnx(onnx, network, header, path.stem, not no_flip, not no_normalize)
    print(f"{path.stem} written to {onnx}", file=sys.stderr)
