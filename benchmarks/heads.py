"""Heads of many classes: memory and time of a training step, whole, over two processes, and sampled.

    python benchmarks/heads.py [--classes 10000 100000 1000000]

ArcFace with D = 512, batch 128, forward, backward and SGD with momentum, one thread a process. Each cell runs
in processes of its own; memory is their highest resident set less what PyTorch takes by itself, and time is
the median of the steps. A million classes take about 8 GB of memory, and are measured only on request.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

BATCH, DIM, RATE = 128, 512, 0.1
MODES = ("whole", "2 shards", f"sampled {RATE}", f"2 shards, sampled {RATE}")


def peak() -> float:
    """Return the highest resident set of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(mode: str, classes: int, steps: int) -> None:
    """Train a head for some steps; the first process prints the time of one and everybody's memory."""
    import torch
    from accelerate import PartialState

    from facelab.models.losses import build_loss
    from facelab.training.class_shards import divide, parallel

    torch.set_num_threads(1)
    state = PartialState(cpu=True)
    torch.manual_seed(0)
    loss_fn = build_loss("arcface", DIM, max(1, -(-classes // state.num_processes)), {})
    before = peak() - loss_fn.prototypes.nbytes / 2**20  # a whole head would be drawn before it is divided
    own, loss_fn.num_classes = loss_fn.prototypes.data.clone(), classes
    divide(loss_fn, state.num_processes, RATE if "sampled" in mode else 1.0)
    loss_fn.prototypes.data = own[: loss_fn.shard.rows().stop - loss_fn.shard.rows().start]
    if state.num_processes == 1 and "sampled" not in mode:
        loss_fn.shard = None
    del own
    optimizer = torch.optim.SGD(loss_fn.parameters(), 0.1, 0.9, nesterov=True, weight_decay=5e-4)
    generator, times = torch.Generator().manual_seed(1), []
    for _ in range(steps + 1):
        x = torch.randn(BATCH, DIM, generator=generator, requires_grad=True)
        labels = torch.randint(classes, (BATCH,), generator=generator)
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with parallel(loss_fn):
            loss_fn(x, labels).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    memory = torch.tensor(peak() - before)
    if state.num_processes > 1:
        torch.distributed.all_reduce(memory, torch.distributed.ReduceOp.MAX)
    if state.is_main_process:
        print(json.dumps({"seconds": statistics.median(times[1:]), "megabytes": memory.item()}))


def cell(mode: str, classes: int, steps: int) -> dict[str, float] | None:
    """Measure one cell in processes of its own; None where they did not get through."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = (*(launcher if "shards" in mode else ()), __file__, "--one", mode, "--classes", str(classes))
    done = subprocess.run(
        [sys.executable, *words, "--steps", str(steps)], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def main() -> int:
    """Print a row for each number of classes and each kind of head."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--one", default=None)
    parser.add_argument("--out", type=Path, default=None, help="JSON file for the figures")
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one, arguments.classes[0], arguments.steps)
        return 0
    print(f"{'classes':>12}  {'head':<24}{'MB a process':>14}{'s a step':>10}{'to whole':>10}", flush=True)
    rows, failed = [], False
    for classes in arguments.classes:
        whole = None
        for mode in MODES:
            found = cell(mode, classes, arguments.steps)
            if found is None:
                print(f"{classes:>12,}  {mode:<24}{'out of memory or failed':>34}", flush=True)
                failed = True
                continue
            whole = found["seconds"] if mode == "whole" else whole
            ratio = f"{found['seconds'] / whole:>10.2f}" if whole else f"{'-':>10}"
            figures = f"{found['megabytes']:>14,.0f}{found['seconds']:>10.3f}{ratio}"
            print(f"{classes:>12,}  {mode:<24}{figures}", flush=True)
            rows.append({"classes": classes, "head": mode, **found})
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
