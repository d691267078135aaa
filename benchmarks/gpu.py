"""Whether a GPU computes what a CPU does, and how fast: the proof that a card's owner runs in ten minutes.

    PYTHONPATH=. python benchmarks/gpu.py --out results/

Each row is printed when it is found, and OUT/gpu.json holds all rows after each section, so that a run that
is stopped still tells. The exit status is 1 if a check failed. `--tiny` tries the script itself.
"""

import argparse
import copy
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facelab.data.folders import CropSet
from facelab.lessons.live.data import TrainingData
from facelab.lessons.live.session import Training
from facelab.models.backbones import BACKBONES
from facelab.models.backbones.describe import describe
from facelab.models.device import choose, described
from facelab.models.losses import LOSSES, build_loss
from facelab.models.model import FaceModel, build_model, embed_all
from facelab.models.recipe import Recipe
from facelab.training import distributed, resume
from facelab.training.loop import train
from facelab.training.optim import build_optimizer

CUDA = torch.device("cuda", 0)
ROWS: list[dict[str, object]] = []
BASE = Recipe(neck="pool", embedding_dim=64, held_out=0.0, warmup=0.0, lr=0.01, epochs=1000)
TINY = {"backbone": "mobilenet_face", "batch_size": 8}
QUICK = {"backbone": "alexnet_face", "batch_size": 8}  # of --tiny, which asks whether the script runs
LEAST = 0.9  # of the speed on noise
FITS = 16e9  # bytes of a common card


def say(section: str, name: str, good: bool | None, **figures: object) -> None:
    """Add a row: good is True, False, or None for a figure that nothing is asked of."""
    ROWS.append({"section": section, "name": name, "good": good, **figures})
    shown = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
    print(f"{ {True: 'ok', False: 'FAIL', None: ''}[good]:4} {section:9} {name:32} {shown}", flush=True)


def noise(people: int, each: int) -> CropSet:
    """Bytes for crops: speed and equality do not ask what they show."""
    pixels = np.random.default_rng(0).integers(0, 256, (people * each, 112, 112, 3), dtype=np.uint8)
    names = tuple(map(str, range(people * each)))
    return CropSet(pixels, np.repeat(np.arange(people), each), tuple(f"p/{i}" for i in range(people)), names)


def away(a: Tensor, truth: Tensor) -> float:
    """Relative distance in float64."""
    a, truth = a.detach().double().cpu(), truth.detach().double().cpu()
    return float((a - truth).norm() / truth.norm().clamp(min=1e-30))


def synced() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def pace(run, steps: int, batch: int) -> float:
    """Images per second over some steps."""
    started = synced()
    for _ in itertools.islice(run, steps):
        pass
    return steps * batch / (synced() - started)


def card(tiny: bool) -> None:
    """What the card is, and its measured peak of matrix products."""
    memory = torch.cuda.get_device_properties(0).total_memory
    chosen = str(distributed.autocast_dtype("auto", CUDA))
    say("card", described(CUDA), None, GB=memory / 1e9, torch=torch.__version__, auto_precision=chosen)
    say("card", "matmul bf16", None, TFLOPs=2 * matmul_peak(tiny) / 1e12)


def matmul_peak(tiny: bool) -> float:
    """Measured multiply-adds per second of a large square product in bf16."""
    side = 64 if tiny else 8192
    a, times = torch.randn(side, side, device=CUDA).bfloat16(), []
    for _ in range(3 if tiny else 10):
        started = synced()
        a @ a
        times.append(synced() - started)
    return side**3 / min(times)


def backbones(tiny: bool) -> None:
    """Output may be as far from a CPU's float64 as a CPU's float32 is, times 20; the gradient 5 % more.

    Another order of sums moves single units over a ReLU's kink, which alone moves a gradient by about 1 %.
    """
    for name in [QUICK["backbone"]] if tiny else BACKBONES:
        network, x = FaceModel(name, "pool", 64), torch.randn(4, 3, 112, 112)

        def run(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
            out = model(x)
            out.square().sum().backward()
            return out, torch.cat([p.grad.double().cpu().flatten() for p in model.parameters()])

        truth = run(copy.deepcopy(network).double(), x.double())
        here = run(copy.deepcopy(network), x)
        there = run(copy.deepcopy(network).to(CUDA, memory_format=torch.channels_last), x.to(CUDA))
        ours, of_cpu = ([away(a, b) for a, b in zip(side, truth)] for side in (there, here))
        good = all(a < 20 * b + extra for a, b, extra in zip(ours, of_cpu, (1e-4, 0.05)))
        say("backbone", name, good, out=ours[0], of_cpu=of_cpu[0], grad=ours[1], grad_of_cpu=of_cpu[1])


def losses(tiny: bool) -> None:
    """Value and gradient of every loss against a CPU's float64."""
    for name in LOSSES:
        plain, x, labels = build_loss(name, 32, 10, {}), torch.randn(64, 32), torch.arange(64) % 10

        def run(loss_fn: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            x = x.detach().requires_grad_()
            value = loss_fn(x, labels)
            value.backward()
            return value, x.grad

        truth = run(copy.deepcopy(plain).double(), x.double(), labels)
        here = run(copy.deepcopy(plain), x, labels)
        there = run(copy.deepcopy(plain).to(CUDA), x.to(CUDA), labels.to(CUDA))
        ours, of_cpu = (max(away(a, b) for a, b in zip(side, truth)) for side in (there, here))
        say("loss", name, ours < 20 * of_cpu + 1e-5, away=ours, of_cpu=of_cpu)


def resumed(tiny: bool) -> None:
    """Run twice, and again from a state in the middle; deterministic runs must be equal to the last bit."""
    data, before = noise(4, 8), torch.are_deterministic_algorithms_enabled()
    for strict, fields in itertools.product((False, True), ({}, {"loss": "center", "ema_decay": 0.9})):
        torch.use_deterministic_algorithms(strict, warn_only=True)
        recipe = replace(BASE, **(QUICK if tiny else TINY) | {"epochs": 1}, **fields)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = Path(folder) / "x.run.safetensors"

            def whole(save: bool, begun: Path | None, recipe: Recipe = recipe, state: Path = state) -> Tensor:
                for progress in train(recipe, data, begun):
                    if save and progress.step == 2:
                        resume.save(state, progress.run)
                return torch.cat([p.detach().double().cpu().flatten() for p in progress.model.parameters()])

            first, second, again = whole(True, None), whole(False, None), whole(False, state)
        apart = {"twice": away(second, first), "resumed": away(again, first)}
        good = apart["resumed"] == 0 if strict else apart["resumed"] <= 20 * apart["twice"] + 1e-6
        say("resume", f"{fields or 'softmax'}{', deterministic' if strict else ''}", good, **apart)
    torch.use_deterministic_algorithms(before)


def speed(tiny: bool) -> None:
    """Images per second against the same network on noise that lies on the card, and of the matmul peak."""
    cases = {"resnet50 512": ("resnet50", False), "resnet_face 512": ("resnet_face", False)}
    if not tiny:
        cases |= {"resnet_face 512 compiled": ("resnet_face", True)}
    data, peak = noise(8, 8 if tiny else 600), matmul_peak(tiny)
    for name, (backbone, compiled) in cases.items():
        fields = QUICK if tiny else {"backbone": backbone, "batch_size": 512, "precision": "bf16"}
        recipe = replace(BASE, **fields, compile=compiled)
        ours, ideal = train(recipe, data), on_noise(recipe)
        steps, found = 1 if tiny else 15, {"ours": [], "noise": []}
        pace(ours, 3, recipe.batch_size), pace(ideal, 3, recipe.batch_size)
        host = time.process_time()
        for _ in range(1 if tiny else 3):
            found["ours"].append(pace(ours, steps, recipe.batch_size))
            found["noise"].append(pace(ideal, steps, recipe.batch_size))
        host = time.process_time() - host
        speeds = {key: statistics.median(values) for key, values in found.items()}
        of_peak = 3 * describe(recipe.backbone).macs * speeds["ours"] / peak
        share = speeds["ours"] / speeds["noise"]
        good = None if tiny or compiled or backbone != "resnet50" else share >= LEAST
        memory = torch.cuda.max_memory_allocated() / 1e9
        say("speed", name, good, **speeds, of_noise=share, of_peak=of_peak, host_s=host, peak_GB=memory)
        ours.close()
        free()


def on_noise(recipe: Recipe):
    """Train the network and a linear head on one batch that lies on the card."""
    model = build_model(recipe).to(CUDA, memory_format=torch.channels_last)
    head = nn.Linear(recipe.embedding_dim, 8).to(CUDA)
    optimizer, dtype = build_optimizer(recipe, [model, head]), distributed.autocast_dtype("bf16", CUDA)
    network = torch.compile(model) if recipe.compile else model
    x = torch.randn(recipe.batch_size, 3, 112, 112, device=CUDA).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(recipe.batch_size, device=CUDA) % 8
    while True:
        with torch.autocast("cuda", dtype):
            out = network(x)
        loss = nn.functional.cross_entropy(head(out.float()), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield loss


def memory(tiny: bool) -> None:
    """Peak memory of a step at batch 128, and the batch that a card of 16 GB would hold."""
    for name in [QUICK["backbone"]] if tiny else BACKBONES:
        free()
        try:
            run = train(replace(BASE, backbone=name, batch_size=8 if tiny else 128), noise(8, 32))
            next(run), next(run)
            run.close()
        except torch.OutOfMemoryError:
            say("memory", name, None, peak_GB="out of memory")
            continue
        peak = torch.cuda.max_memory_allocated()
        say("memory", name, None, peak_GB=peak / 1e9, batch_in_16_GB=int(128 * 0.9 * FITS / max(peak, 1)))


def free() -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def page(tiny: bool) -> None:
    """Train live to a checkpoint, and embed from another thread."""
    recipe = replace(BASE, **(QUICK if tiny else TINY) | {"epochs": 1}, held_out_images=0.25)
    *_, end = Training(recipe, TrainingData(noise(4, 8), "noise", 8), 60.0, "").follow()
    say("page", "a live run", end.state == "finished", state=end.state, seconds=end.seconds)
    host, out, crops = FaceModel(recipe.backbone, "pool", 64), {}, noise(4, 8).crops
    there = copy.deepcopy(host).to(CUDA)
    worker = threading.Thread(target=lambda: out.update(there=embed_all(there, [crops])))
    worker.start()
    worker.join()
    apart = away(torch.from_numpy(out["there"]), torch.from_numpy(embed_all(host, [crops])))
    say("page", "embedded in another thread", apart < 1e-2, away=apart)
    for name, model in (("cuda", there), ("cpu", host)):
        started, count = synced(), 1 if tiny else 20
        embed_all(model, [crops] * count)
        say("page", f"embed on {name}", None, img_s=count * len(crops) / (synced() - started))


def processes(tiny: bool) -> None:
    """One process over NCCL must give the losses of one alone."""
    recipe = replace(BASE, **TINY | {"epochs": 2, "precision": "fp32"})
    if "RANK" in os.environ:
        print(json.dumps([p.loss for p in train(recipe, noise(4, 8))]))
        return
    alone = [p.loss for p in train(recipe, noise(4, 8))]
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1", __file__]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *words, "--only", "processes"], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        say("process", "one over NCCL", False, error=done.stderr[-200:])
        return
    apart = max(abs(a - b) / abs(a) for a, b in zip(alone, json.loads(done.stdout.splitlines()[0])))
    say("process", "one over NCCL", apart < 1e-3, away=apart)


SECTIONS = {f.__name__: f for f in (card, losses, resumed, page, processes, speed, backbones, memory)}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        choose("cuda")
    except ValueError as error:  # `make bench` goes on
        print(f"no GPU was tried: {error}")
        return 0
    torch.manual_seed(0)  # the same weights and images each time
    for name in arguments.only.split(","):
        try:
            SECTIONS[name](arguments.tiny)
        except Exception as error:  # one section must not cost the others
            say(name, "broke off", False, error=" ".join(str(error).split())[:300])
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / "gpu.json").write_text(json.dumps(ROWS, indent=1, default=str))
    failed = [f"{row['section']} {row['name']}" for row in ROWS if row["good"] is False]
    print(
        f"{len(failed)} of {sum(row['good'] is not None for row in ROWS)} checks failed", *failed, sep="\n  "
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
