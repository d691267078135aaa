"""Compare heads whose classes are divided among processes with whole heads; the first process prints JSON.

Run under `torchrun --nproc_per_node 2` with a folder that holds the state of a run of one process."""

import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from accelerate import PartialState

from facelab.data.parametric import ParametricFaces
from facelab.models.losses import build_loss
from facelab.models.recipe import Recipe
from facelab.training import loop as engine
from facelab.training import resume
from facelab.training.class_shards import divide, parallel, whole
from tests.programs.shared_batch import Double

HEADS = {
    "softmax": {"label_smoothing": 0.1},
    "norm_softmax": {},
    "cosface": {"scale": 16.0},
    "arcface": {"scale": 16.0},
    "a_softmax": {},
}
CLASSES, DIM, BATCH = 7, 16, 6  # the first process holds four classes, the second three
LABELS = {"both": [0, 6, 3, 4, 4, 1], "first only": [0, 1, 2, 3, 0, 1], "second only": [4, 5, 6, 6, 5, 4]}


def gradients(head: torch.nn.Module, x: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """Return loss, gradient of the embeddings, and gradients of the head's parameters."""
    x = x.clone().requires_grad_()
    if x.dtype == torch.float32:
        loss = head(x, labels)  # what it opens for itself is closed again
    with parallel(head):
        if x.dtype == torch.float64:
            loss = head(x, labels)
        loss.backward()
    return [loss.detach(), x.grad, *(p.grad for p in head.parameters())]


def compare(name: str, labels: torch.Tensor, dtype: torch.dtype, state: PartialState) -> float:
    """Return the largest difference between a whole and a divided head, relative to the largest value
    above 1."""
    torch.manual_seed(0)
    dense = build_loss(name, DIM, CLASSES, HEADS[name]).to(dtype)
    torch.manual_seed(0)
    head = build_loss(name, DIM, CLASSES, HEADS[name]).to(dtype)
    divide(head, state.num_processes)
    x = torch.randn(BATCH, DIM, dtype=dtype)
    wanted, found = gradients(dense, x, labels), gradients(head, x, labels)
    own = head.shard.rows()
    wanted[2:] = [grad[own] for grad in wanted[2:]]
    differences = [
        float((a - b).abs().max() / a.abs().max().clamp(min=1)) for a, b in zip(wanted, found, strict=True)
    ]
    hits = head.part.hits(head.logits(x))
    assert torch.equal(hits, dense.logits(x).argmax(1) == labels)
    back = whole(head).state_dict()
    if state.is_main_process:
        assert all(torch.equal(v, back[k]) for k, v in dense.state_dict().items() if v.ndim)
    return max(differences)


def sampled(state: PartialState) -> dict[str, object]:
    """Return what a step scores of 40 classes at a rate of a fifth, and its loss against a dense one's."""
    torch.manual_seed(0)
    dense = build_loss("arcface", DIM, 40, {"scale": 16.0}).double()
    torch.manual_seed(0)
    head = build_loss("arcface", DIM, 40, {"scale": 16.0}).double()
    divide(head, state.num_processes, rate=0.2)
    head.shard.generator = torch.Generator().manual_seed(state.process_index)
    x, labels = torch.randn(BATCH, DIM).double(), torch.tensor([0, 39, 5, 5, 21, 30])
    found = gradients(head, x, labels)
    mine = head.part.drawn + head.shard.rows().start
    every = [torch.empty_like(mine) for _ in range(state.num_processes)]
    torch.distributed.all_gather(every, mine)
    chosen = torch.cat(every)
    dense.prototypes = torch.nn.Parameter(dense.prototypes.detach()[chosen])
    dense.num_classes = len(chosen)
    places = (chosen[None] == labels[:, None]).int().argmax(1)
    wanted = gradients(dense, x, places)
    difference = max(float((wanted[i] - found[i]).abs().max()) for i in (0, 1))
    return {"chosen": chosen.tolist(), "difference": difference, "labels": labels.tolist()}


RECIPE = Recipe(
    epochs=3, batch_size=8, embedding_dim=16, held_out=0.0, held_out_images=0.25, precision="fp32",
    lr=0.05, ema_decay=0.9, grad_clip=0.5, flip=False, loss="arcface",
)  # fmt: skip
STOP = 5  # steps after which a run is saved


def trained(folder: Path, name: str, other: str | None, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Train with divided classes, save the state after STOP steps, and go on from another run's state."""
    engine.build_model = lambda recipe: Double()
    engine.build_loss = lambda *options: build_loss(*options).double()
    data = ParametricFaces(7, 8, seed=1).crop_set()
    run = []
    for progress in engine.train(recipe, data, shard=True):
        run.append(progress)
        if progress.step == STOP:
            resume.save(folder / f"{name}.run.safetensors", progress.run)
    out = {"losses": [p.loss for p in run], "accuracy": run[-1].accuracy, "figures": run[-1].validation}
    out["weights"] = run[-1].loss_fn.prototypes.double().abs().sum(1).tolist()
    if other:
        rest = engine.train(recipe, data, folder / f"{other}.run.safetensors", shard=True)
        out["resumed"] = [p.loss for p in rest]
    return out


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    state = PartialState(cpu=True)
    out = {
        f"{name}, {case}, {str(dtype)[6:]}": compare(name, torch.tensor(LABELS[case]), dtype, state)
        for name, case, dtype in product(HEADS, LABELS, (torch.float32, torch.float64))
    }
    values = torch.tensor(list(out.values()), dtype=torch.float64)
    torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX)
    drawn = sampled(state)
    runs = {"two": trained(folder, "two", "one")}
    runs["adamw"] = trained(folder, "adamw", "adamw", replace(RECIPE, optimizer="adamw", lr=0.002))
    runs["sampled"] = trained(folder, "sampled", "sampled", replace(RECIPE, sample_classes=0.5, batch_size=2))
    if state.is_main_process:
        print(json.dumps({"differences": dict(zip(out, values.tolist())), "sampled": drawn, "runs": runs}))


if __name__ == "__main__":
    main()
