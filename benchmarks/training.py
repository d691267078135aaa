"""What the engine costs: images per second against a minimal loop, and the share of time that loading takes.

The minimal loop is what one would write by hand for the same network, crops, augmentation, loss and
optimizer, with nothing around it: no progress, no checks, no schedule. Both run in turns in one process, and
medians are compared. On a GPU it also measures resnet50 at batch 512 in bf16 from crops that lie on the GPU,
as a share of the same network on synthetic input, and of the card's measured matrix peak."""

import itertools
import statistics
import sys
import time

import torch
from torch import nn

from facelab.data.folders import CropSet, Selection
from facelab.data.parametric import ParametricFaces
from facelab.models.model import FaceModel, build_model
from facelab.models.recipe import Recipe
from facelab.training.augment import DRAWS, augment
from facelab.training.batches import epoch_order, on_device, read_batches
from facelab.training.distributed import autocast_dtype
from facelab.training.loop import train
from facelab.training.optim import build_optimizer
from facelab.training.splits import split_identities

LEAST_SPEED, MOST_LOADING, LEAST_GPU = 0.95, 0.05, 0.9
TURNS, STEPS = 7, 4
RECIPE = Recipe(batch_size=64, epochs=100, held_out=0.0)


def faces(count: int) -> CropSet:
    """Rendered crops, repeated to a useful number."""
    few = ParametricFaces(20, 10, seed=1).crop_set()
    rows = torch.arange(count) % len(few)
    names = tuple(map(str, range(count)))
    return CropSet(few.crops[rows.numpy()], few.labels[rows.numpy()], few.identities, names)


def minimal(recipe: Recipe, data: Selection, device: torch.device):
    """The hand-written loop, a step at each `next`."""
    model = build_model(recipe).to(device, memory_format=torch.channels_last)
    head = nn.Linear(recipe.embedding_dim, len(data.identities)).to(device)
    optimizer = build_optimizer(recipe, [model, head])
    dtype = autocast_dtype(recipe.precision, device)
    crops, labels = torch.from_numpy(data.crops).to(device), torch.from_numpy(data.labels).to(device)
    while True:
        for rows in torch.randperm(len(crops), device=device).split(recipe.batch_size):
            x = augment(crops[rows], recipe, torch.rand(DRAWS, len(rows)))
            with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                embeddings = model(x.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(head(embeddings.float()), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_([*model.parameters(), *head.parameters()], recipe.grad_clip)
            optimizer.step()
            yield loss


def pace(run, steps: int, recipe: Recipe, device: torch.device) -> float:
    """Images per second over some steps."""
    started = time.perf_counter()
    for _ in itertools.islice(run, steps):
        pass
    if device.type == "cuda":
        torch.cuda.synchronize()
    return steps * recipe.batch_size / (time.perf_counter() - started)


def side_by_side(
    recipe: Recipe, data: CropSet, device: torch.device, steps: int
) -> tuple[float, float, float]:
    """(ours, the minimal loop's, median ratio of neighbors) in images per second."""
    whole, _ = split_identities(data, 0.0, 0)
    ours, theirs = train(recipe, data), minimal(recipe, whole, device)
    pace(ours, 2, recipe, device), pace(theirs, 2, recipe, device)
    a, b = [], []
    for _ in range(TURNS):
        a.append(pace(ours, steps, recipe, device))
        b.append(pace(theirs, steps, recipe, device))
    ratio = statistics.median(x / y for x, y in zip(a, b))
    return statistics.median(a), statistics.median(b), ratio


def loading_share(recipe: Recipe, data: CropSet, device: torch.device, speed: float) -> float:
    """Time to fetch batches alone, as a share of the time that training them takes."""
    whole, _ = split_identities(data, 0.0, 0)
    order, resident = epoch_order(whole, recipe, 0), on_device(whole, device)
    times = []
    for _ in range(TURNS):
        started = time.perf_counter()
        for _ in read_batches(whole, order, device, resident):
            pass
        times.append((time.perf_counter() - started) / order.size)
    return statistics.median(times) * speed


def synthetic(recipe: Recipe, classes: int, device: torch.device):
    """The network and optimizer on one batch of noise that lies on the GPU."""
    model: FaceModel = build_model(recipe).to(device, memory_format=torch.channels_last)
    head = nn.Linear(recipe.embedding_dim, classes).to(device)
    optimizer = build_optimizer(recipe, [model, head])
    x = torch.randn(recipe.batch_size, 3, 112, 112, device=device).contiguous(
        memory_format=torch.channels_last
    )
    labels = torch.randint(0, classes, (recipe.batch_size,), device=device)
    while True:
        with torch.autocast(device.type, torch.bfloat16):
            embeddings = model(x)
        loss = nn.functional.cross_entropy(head(embeddings.float()), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield loss


def matmul_peak(device: torch.device) -> float:
    """Measured bf16 multiply-adds per second of a large square product."""
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(20):
        torch.cuda.synchronize()
        started = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 8192**3 / min(times)


def on_gpu(device: torch.device) -> bool:
    """resnet50 at batch 512 in bf16."""
    recipe = Recipe(
        backbone="resnet50", neck="pool", batch_size=512, epochs=1000, held_out=0.0, precision="bf16"
    )
    data = faces(20_000)
    ours, _, ratio = side_by_side(recipe, data, device, 20)
    noise = synthetic(recipe, len(data.identities), device)
    pace(noise, 5, recipe, device)
    ideal = statistics.median(pace(noise, 20, recipe, device) for _ in range(TURNS))
    from facelab.models.backbones.describe import describe

    used = 3 * describe("resnet50").macs * ours / matmul_peak(device)
    print(f"resnet50, batch 512, bf16      {ours:9.0f} img/s  {ratio:.3f} of the minimal loop")
    print(f"  of synthetic input           {ideal:9.0f} img/s  {ours / ideal:.3f}   at least {LEAST_GPU}")
    print(f"  of the measured matmul peak  {used:23.3f}")
    return ours / ideal >= LEAST_GPU


def main() -> int:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = faces(2_000)
    ours, theirs, ratio = side_by_side(RECIPE, data, device, STEPS)
    share = loading_share(RECIPE, data, device, ours)
    print(f"{RECIPE.backbone}, batch {RECIPE.batch_size}, {device.type}, {torch.get_num_threads()} threads")
    print(f"engine {ours:.0f} img/s, minimal loop {theirs:.0f}: ratio {ratio:.3f}   at least {LEAST_SPEED}")
    print(f"loading takes {share:.2%} of the time                at most {MOST_LOADING:.0%}")
    good = ratio >= LEAST_SPEED and share <= MOST_LOADING
    if device.type == "cuda":
        good = on_gpu(device) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
