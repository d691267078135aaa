"""State for resuming a run exactly, in one .safetensors file next to its checkpoint.

A checkpoint is for inference: rounded to fp16, without the optimizer. The state holds all tensors in full
precision: network, loss with its centers and schedules, moving average, and the optimizer's momentum. Random
numbers are not stored, because each step draws them from seed and step.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from facelab.data.folders import Selection
from facelab.models import checkpoint
from facelab.models.claims import check_history
from facelab.models.losses.shards import Shard
from facelab.models.model import FaceModel
from facelab.models.recipe import Recipe
from facelab.training.class_shards import divided, gathered, whole
from facelab.training.distillation import Teacher
from facelab.training.history import History
from facelab.training.optim import Average

FORMAT = "facelab-run/1"
MOMENTS = ("momentum_buffer", "exp_avg", "exp_avg_sq")  # of the optimizers, a number for each weight
SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}


@dataclass(eq=False)
class Run:
    """A training run between two steps.

    Attributes:
        recipe: what is trained.
        data: `fingerprint` of the crops.
        model, loss_fn: in training.
        optimizer: of both.
        average: moving average of both, or None.
        scaler: of a float16 loss, or None.
        teacher: what is imitated, or None.
        step: steps done.
        accuracy: running accuracy, as Progress shows it.
        judged: steps that it is the mean of.
        history: how the figures have changed so far.
    """

    recipe: Recipe
    data: str
    model: FaceModel
    loss_fn: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    scaler: torch.amp.GradScaler | None = None
    teacher: Teacher | None = None
    step: int = 0
    accuracy: float = math.nan
    judged: int = 0
    history: History = field(default_factory=History)

    def best(self) -> tuple[FaceModel, nn.Module]:
        """Return the network and loss to validate and save: the averaged ones, if they exist."""
        return tuple(self.average.copy) if self.average else (self.model, self.loss_fn)

    def whole_best(self) -> tuple[FaceModel, nn.Module]:
        """Return them with all classes, in the first process; all processes must call it."""
        model, loss_fn = self.best()
        return model, whole(loss_fn)


def fingerprint(data: Selection) -> str:
    """Return a hash of the identities in the data and their order, without the pixels."""
    digest = hashlib.sha256(json.dumps(data.identities).encode())
    digest.update(data.labels.tobytes())
    digest.update(data.rows.tobytes())
    return digest.hexdigest()[:16]


def state_path(out: Path) -> Path:
    """Return the state file of a run with the checkpoint `out`."""
    return out.with_suffix(".run.safetensors")


def steps_done(path: Path) -> int:
    """Return the number of steps done in a saved state.

    Raises:
        ValueError: no such file, or damaged.
    """
    return _read(path).step


def save(path: Path, run: Run) -> None:
    """Write the state of a run, atomically; with divided classes, all processes must call it and the first
    writes.

    Raises:
        OSError: the disk is full or the folder cannot be written; an existing file stays unchanged.
    """
    header = {"recipe": run.recipe.to_dict(), "data": run.data, "step": run.step}
    header |= {"accuracy": run.accuracy, "judged": run.judged, "history": asdict(run.history)}
    if run.scaler:
        header["scaler"] = run.scaler.state_dict()
    tensors = _tensors(run)
    if all(shard.rank == 0 for shard in divided(run.loss_fn).values()):
        checkpoint.write(path, tensors, {"format": FORMAT, "run": json.dumps(header)})


def restore(path: Path, run: Run) -> None:
    """Load the saved state into a run that was built from the same recipe and data.

    Raises:
        ValueError: no such file, damaged, or of another recipe or other data.
    """
    if not path.is_file():
        raise ValueError(f"there is nothing to resume: {path} does not exist; leave --resume out to begin")
    saved = _read(path)
    _require_same(saved.recipe, saved.data, run, path)
    _load(run, saved.tensors, path)
    if run.scaler and saved.scaler:  # without: it was saved on a device that needs none
        run.scaler.load_state_dict(saved.scaler)
    run.step, run.accuracy, run.judged = saved.step, saved.accuracy, saved.judged
    run.history = saved.history


@dataclass(frozen=True, eq=False)
class _Saved:
    """What a file says of a run."""

    recipe: Recipe
    data: str
    step: int
    accuracy: float
    judged: int
    history: History
    scaler: dict[str, float]
    tensors: dict[str, Tensor]


def _read(path: Path) -> _Saved:
    metadata, tensors = checkpoint.read(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path.name} is not the state of a run; leave --resume out to start over")
    try:
        header = json.loads(metadata["run"])
        was = Recipe.from_dict(header["recipe"])
        data, step = str(header["data"]), int(header["step"])
        accuracy, judged = float(header["accuracy"]), int(header["judged"])
        history = _history(header.get("history", {}))
        scaler = {str(name): value + 0 for name, value in header.get("scaler", {}).items()}
        if scaler and (set(scaler) != SCALER or not 0 < scaler["scale"] < math.inf):
            raise ValueError("scaler")
    except Exception as error:  # a tampered header makes its readers raise anything
        raise ValueError(f"{path.name} has a damaged header; leave --resume out to start over") from error
    return _Saved(was, data, step, accuracy, judged, history, scaler, tensors)


def _history(values: dict[str, object]) -> History:
    """Return the history in a saved state; an empty one of a state of an earlier version."""
    rows, last = values.get("rows", []), values.get("last", {})
    check_history([*rows, last])
    sums = {str(name): (float(total), int(count)) for name, (total, count) in values.get("sums", {}).items()}
    return History(rows, sums, last)


def _require_same(was: Recipe, data: str, run: Run, path: Path) -> None:
    for name in (each.name for each in fields(Recipe)):
        old, new = getattr(was, name), getattr(run.recipe, name)
        if old != new:
            raise ValueError(
                f"{path.name} was begun with {name} {old}, not {new}; resume with what it began with"
            )
    if data != run.data:
        raise ValueError(f"{path.name} was begun with other data; resume with the same folders or zips")


def _modules(run: Run) -> dict[str, nn.Module]:
    modules = {"model.": run.model, "loss.": run.loss_fn}
    return modules | ({"average.": run.average.copy} if run.average else {})


def _tensors(run: Run) -> dict[str, Tensor]:
    tensors = {}
    for prefix, module in _modules(run).items():
        tensors |= {prefix + key: value for key, value in module.state_dict().items()}
    for index, values in run.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in values.items() if isinstance(v, Tensor)}
    tensors = gathered(tensors, _shards(run))
    return {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}


def _shards(run: Run) -> dict[str, Shard]:
    """Return the tensors of a run of which this process holds some rows only, by key, with their classes."""
    shards = {f"loss.{name}": shard for name, shard in divided(run.loss_fn).items()}
    if run.average:
        shards |= {f"average.{name}": shard for name, shard in divided(run.average.copy).items()}
    own = dict(run.loss_fn.named_parameters())
    places = [p for group in run.optimizer.param_groups for p in group["params"]]
    for name, shard in divided(run.loss_fn).items():
        index = next(i for i, p in enumerate(places) if p is own[name])
        state = run.optimizer.state.get(own[name], {})
        moments = [k for k, v in state.items() if isinstance(v, Tensor) and v.ndim] or MOMENTS
        shards |= {f"optimizer.{index}.{k}": shard for k in moments}
    return shards


def _load(run: Run, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        shards = _shards(run)
        tensors = {k: v[shards[k].rows()] if k in shards else v for k, v in tensors.items()}
        for prefix, module in _modules(run).items():
            module.load_state_dict(_below(tensors, prefix))
        state = run.optimizer.state_dict()
        parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
        for key, value in _below(tensors, "optimizer.").items():
            index, name = key.split(".")
            state["state"].setdefault(int(index), {})[name] = _laid_out(value, parameters[int(index)])
        run.optimizer.load_state_dict(state)
    except (IndexError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path.name} does not fit its own recipe: {' '.join(str(error).split())[:200]}"
        ) from error


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a tensor of the optimizer's state in its parameter's memory layout, because fused optimizers
    iterate over both in memory order; a step count is unchanged.
    """
    if value.ndim == 0:
        return value
    if value.shape != parameter.shape:
        raise ValueError(
            f"the optimizer's state is {tuple(value.shape)} for {tuple(parameter.shape)} weights"
        )
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
