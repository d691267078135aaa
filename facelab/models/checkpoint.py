"""Checkpoints: one .safetensors file whose header holds everything besides the weights.

The header holds the recipe, class count, data provenance, measured figures and operating points as JSON, and
`describe` reads it without reading any weights. `claims` checks the header against the file's tensors before
anything is built. Nothing is pickled. A file is written under a temporary name and renamed, so an interrupted
write leaves the old file intact. Matrices are stored in fp16, everything else in full precision.
"""

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facelab.metrics.operating import OperatingPoints
from facelab.models.claims import Claims, check_tensors, check_values, read_claims
from facelab.models.layers import is_vector
from facelab.models.losses import build_loss
from facelab.models.model import FaceModel, build_model
from facelab.models.recipe import Recipe

FORMAT = "facelab/1"


@dataclass(frozen=True)
class Header:
    """Hold the content of a checkpoint's header.

    Attributes:
        recipe: rebuilds the network and the loss.
        num_classes: K, the training identities.
        data: source of the crops, as text.
        metrics: measured figures by name of the evaluation.
        operating_points: thresholds and histograms; None before calibration.
        identities: K names of the training identities by class, or empty if they are not stored.
        device: what trained it, in words; empty where that was not kept.
        history: rows of figures of the run, from its first step to its last; empty where they were not kept.
    """

    recipe: Recipe
    num_classes: int
    data: str
    metrics: dict[str, object] = field(default_factory=dict)
    operating_points: OperatingPoints | None = None
    identities: tuple[str, ...] = ()
    device: str = ""
    history: tuple[dict[str, float], ...] = ()

    def to_json(self) -> str:
        values = asdict(self) | {"recipe": self.recipe.to_dict()}
        if self.operating_points:
            values["operating_points"] = self.operating_points.to_dict()
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> "Header":
        values = json.loads(text)
        legal = {field.name for field in fields(cls)}
        later = {"identities", "device", "history"}  # fields that the first files lack
        if not isinstance(values, dict) or {*values, *later} != legal:
            raise ValueError(f"it needs {', '.join(sorted(legal))} and nothing else")
        points, recipe = values.pop("operating_points"), Recipe.from_dict(values.pop("recipe"))
        check_values(**{"identities": [], "device": "", "history": [], **values})
        identities, history = tuple(values.pop("identities", ())), tuple(values.pop("history", ()))
        points = None if points is None else OperatingPoints.from_dict(points)
        return cls(recipe, operating_points=points, identities=identities, history=history, **values)


def save(path: str | os.PathLike, model: FaceModel, loss_fn: nn.Module, header: Header) -> None:
    """Write a checkpoint, atomically.

    Raises:
        OSError: the disk is full or the folder cannot be written; an existing file stays unchanged.
    """
    write(Path(path), _stored(model, "model.") | _stored(loss_fn, "loss."), _metadata(header))


def _metadata(header: Header) -> dict[str, str]:
    return {"format": FORMAT, "facelab": header.to_json()}


def _stored(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Return a tensor as stored: learned matrices and kernels in fp16; buffers (counts, averages) and vectors
    keep their type.
    """
    learned = dict(module.named_parameters())
    tensors = {}
    for key, value in module.state_dict().items():
        value = value.detach().cpu().contiguous()
        matrix = key in learned and not is_vector(value)
        fits = matrix and value.is_floating_point() and value.abs().max() <= torch.finfo(torch.half).max
        tensors[prefix + key] = value.half() if fits else value
    return tensors


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a .safetensors file under a temporary name and rename it, so that it is complete or absent.

    Raises:
        OSError: the disk is full or the folder cannot be written; an existing file stays unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, part, metadata=metadata)
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)  # the library makes files that only their owner may read
        os.replace(part, path)
    except SafetensorError as error:  # how the library reports a full disk
        raise OSError(f"{path.name} could not be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _claims(path: str | os.PathLike) -> Claims:
    """Return the claims of a file, after checking that its header is complete."""
    if not os.path.isfile(path):
        raise ValueError(f"{path} does not exist; `python -m facelab models` lists the checkpoints")
    try:
        return read_claims(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{Path(path).name} {error}") from error


def read(path: str | os.PathLike) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return metadata and tensors of any .safetensors file.

    Raises:
        ValueError: no such file, or an incomplete one.
    """
    claims = _claims(path)
    try:
        with safe_open(path, "pt") as file:
            return claims.metadata, {key: file.get_tensor(key) for key in claims.tensors}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{Path(path).name} is not a complete .safetensors file: {error}") from error


def read_header(path: str | os.PathLike) -> Header:
    """Read the header alone, without checking it against the tensors, for lists of figures.

    Raises:
        ValueError: not a checkpoint of this project, damaged, or with unknown keys or values of a wrong type.
    """
    return _header(path, _claims(path))


def _header(path: str | os.PathLike, claims: Claims) -> Header:
    if claims.metadata.get("format") != FORMAT:
        raise ValueError(f"{Path(path).name} is not a facelab checkpoint (its header does not say {FORMAT})")
    try:
        return Header.from_json(claims.metadata["facelab"])
    except Exception as error:  # a tampered header makes its readers raise anything
        raise ValueError(f"{Path(path).name} has a damaged header: {_one_line(error)}") from error


def describe(path: str | os.PathLike) -> Header:
    """Read the header alone and check it against the names, types and shapes of the file's tensors.

    Raises:
        ValueError: as `read_header`; or with tensors that do not match its recipe.
    """
    claims = _claims(path)
    header = _header(path, claims)
    try:
        check_tensors(claims, header.recipe, header.num_classes)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{Path(path).name} does not fit its own recipe: {_one_line(error)}") from error
    return header


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def load(path: str | os.PathLike) -> tuple[FaceModel, nn.Module, Header]:
    """Rebuild network and loss from a checkpoint, in float32 on the CPU and in eval mode.

    Raises:
        ValueError: as `describe`; or keys, shapes or values that do not match.
    """
    header = describe(path)
    _, tensors = read(path)
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{Path(path).name} holds NaN or infinity in {key}; train it again")
    try:
        model, loss_fn = _rebuilt(header, tensors)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{Path(path).name} does not fit its own recipe: {_one_line(error)}") from error
    return model.eval(), loss_fn.eval(), header


def _rebuilt(header: Header, tensors: dict[str, Tensor]) -> tuple[FaceModel, nn.Module]:
    recipe = header.recipe
    model = build_model(recipe)
    loss_fn = build_loss(recipe.loss, recipe.embedding_dim, header.num_classes, recipe.loss_options())
    for prefix, module in (("model.", model), ("loss.", loss_fn)):
        module.load_state_dict(
            {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        )
    return model, loss_fn


def update_header(path: str | os.PathLike, header: Header) -> None:
    """Replace the header and keep every weight unchanged."""
    write(Path(path), read(path)[1], _metadata(header))


def with_metrics(header: Header, name: str, figures: dict[str, object]) -> Header:
    """Return the header with the figures of one more evaluation."""
    return replace(header, metrics=header.metrics | {name: figures})
