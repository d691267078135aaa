"""Training on the pretend device: equal to the CPU's, and the host waits once a step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facelab.data.embeddings import save_embeddings
from facelab.data.folders import CropSet
from facelab.models.losses import LOSSES
from facelab.models.recipe import Recipe
from facelab.training import distributed, loop, resume
from facelab.training.loop import train
from tests.pretend.device import LOG
from tests.pretend.plugin import capability

CLASSIFYING = [name for name, loss in LOSSES.items() if loss.family != "pair"]
PAIRS = {"images_per_identity": 2}
RECIPE = Recipe(
    backbone="mobilenet_face", neck="pool", embedding_dim=16, epochs=1, batch_size=8, held_out=0.0,
    precision="fp32", lr=0.01,
)  # fmt: skip
LOSS_CASES = {name: {"loss": name} for name in CLASSIFYING}
LOSS_CASES |= {name: {"loss": name, **PAIRS} for name in LOSSES if name not in CLASSIFYING}
LOSS_CASES |= {
    "smoothed": {"label_smoothing": 0.1},
    "no bias": {"bias": False},
    "arcface, margin growing": {"loss": "arcface", "margin_warmup": 3},
    "cosface, margin growing": {"loss": "cosface", "margin_warmup": 3},
    "contrastive, raw": {"loss": "contrastive", "normalize": False, **PAIRS},
    "triplet, all": {"loss": "triplet", "mining": "all", **PAIRS},
    "triplet, hard": {"loss": "triplet", "mining": "hard", **PAIRS},
    "softmax+contrastive": {"loss": "softmax+contrastive", **PAIRS},
    "softmax+triplet": {"loss": "softmax+triplet", **PAIRS},
    "arcface+pairwise": {"loss": "arcface+pairwise", "margin_warmup": 3, **PAIRS},
}
OPTIONS = {
    "adamw": {"optimizer": "adamw"},
    "averaged": {"ema_decay": 0.9},
    "clipped adaptively": {"clip_adaptive": 0.02},
    "dropout": {"dropout": 0.2},
    "no clipping": {"grad_clip": 0.0},
    "one cycle": {"schedule": "one_cycle"},
    "plain crops": {"flip": False, "random_erasing": 0.0, "gray": 0.0, "jitter": 0.0},
    "saturation": {"saturation": 0.3},
    "validated": {"held_out": 0.25, "held_out_images": 0.25},
    "whitened": {"loss": "arcface", "whiten": 0.3},
    "bf16": {"precision": "bf16"},
}


class Tiny(nn.Module):
    """A network of every kind of layer that a step meets."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 16, 7, 4), nn.BatchNorm2d(16), nn.PReLU(16))
        pool = (nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.neck = nn.Sequential(*pool, nn.Dropout(0.0), nn.Linear(64, 16, bias=False), nn.BatchNorm1d(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(self.backbone(x))


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(loop, "build_model", lambda recipe: Tiny())


def crops(people: int = 8, each: int = 4, side: int = 32) -> CropSet:
    """Bytes without a face, which a step does not miss."""
    pixels = np.random.default_rng(0).integers(0, 256, (people * each, side, side, 3), dtype=np.uint8)
    names = tuple(f"{i // each}/{i}" for i in range(people * each))
    return CropSet(pixels, np.repeat(np.arange(people), each), tuple(f"a/{i}" for i in range(people)), names)


def both(recipe: Recipe, data: CropSet) -> tuple[list[float], list[float]]:
    """Losses on the pretend device and on the CPU; the device must really have been used."""
    there = list(train(recipe, data))
    assert all(p.device.type == "cuda" for p in there[-1].model.parameters())
    here = list(train(recipe, data, device="cpu"))
    assert all(p.device.type == "cpu" for p in here[-1].model.parameters())
    assert here[-1].validation.keys() == there[-1].validation.keys()
    return [p.loss for p in there], [p.loss for p in here]


@pytest.mark.parametrize("fields", LOSS_CASES.values(), ids=LOSS_CASES)
def test_every_loss_trains_as_on_a_cpu_and_waits_once_a_step(fields, tiny):
    recipe, data = replace(RECIPE, **fields), crops()
    there, here = both(recipe, data)
    assert there == pytest.approx(here, rel=1e-5, abs=1e-6) and len(set(here)) > 1
    run = train(recipe, data)
    next(run)
    LOG.clear()
    next(run)
    assert sum(LOG.waits.values()) == 1, LOG.waits
    assert sum(LOG.copies.values()) <= 4, LOG.copies


@pytest.mark.parametrize("fields", OPTIONS.values(), ids=OPTIONS)
def test_every_option_trains_as_on_a_cpu(fields, tiny):
    there, here = both(replace(RECIPE, **fields), crops())
    if fields.get("precision") != "bf16":
        assert there == pytest.approx(here, rel=1e-5, abs=1e-6)
    assert len(set(there)) > 1


def test_a_teacher_and_crops_of_nobody_known_cost_no_wait(tiny, tmp_path):
    data = crops()
    sources = tuple(f"{'ab'[i // 4]}/{i}" for i in range(8))
    data = replace(data, identities=sources)
    file = tmp_path / "teacher.npz"
    save_embeddings(file, data.names, np.random.default_rng(1).normal(size=(32, 16)).astype(np.float32))
    recipe = replace(RECIPE, teacher=str(file), unlabeled="b", epochs=2)
    there, here = both(recipe, data)
    assert there == pytest.approx(here, rel=1e-5, abs=1e-6)
    run = train(recipe, data)
    next(run)
    LOG.clear()
    next(run)
    assert sum(LOG.waits.values()) == 1, LOG.waits


def launches(recipe: Recipe) -> int:
    run = train(replace(recipe, epochs=2), crops())
    next(run)
    LOG.clear()
    next(run)
    return sum(LOG.launches.values())


def test_averaging_and_adaptive_clipping_take_few_launches():
    plain = launches(RECIPE)
    weights = 60  # at least: a mobilenet has more tensors, and one launch for each would show
    assert launches(replace(RECIPE, ema_decay=0.9)) - plain < 10
    run = next(train(RECIPE, crops()))
    tensors = len(list(run.model.parameters()))
    assert tensors > weights
    assert launches(replace(RECIPE, clip_adaptive=0.02)) - plain < 4 * tensors


@pytest.mark.parametrize(
    "fields", [{}, {"optimizer": "adamw", "ema_decay": 0.9}, {"precision": "fp16"}], ids=str
)
def test_a_stopped_run_goes_on_exactly(fields, tmp_path, tiny):
    recipe, data, state = replace(RECIPE, epochs=2, **fields), crops(), tmp_path / "x.run.safetensors"
    with capability(7, 5):
        for progress in train(recipe, data):
            if progress.step == 3:
                resume.save(state, progress.run)
        *_, again = train(recipe, data, state)
    assert again.step == progress.step and again.loss == progress.loss
    for (name, a), (_, b) in zip(progress.model.state_dict().items(), again.model.state_dict().items()):
        assert torch.equal(a.cpu(), b.cpu()), name


def test_cards_before_bf16_train_in_float16_and_leave_out_steps_that_overflow(tiny):
    with capability(7, 5):
        run = train(replace(RECIPE, precision="auto", epochs=3), crops())
        first = next(run)
        scaler = first.run.scaler
        assert scaler.get_scale() == 2.0**10
        before = [p.detach().cpu().clone() for p in first.model.parameters()]
        scaler._scale.fill_(2.0**30)  # gradients of a 16-bit network overflow
        LOG.clear()
        second = next(run)
        assert sum(LOG.waits.values()) == 1, LOG.waits
        assert all(torch.equal(a, b.cpu()) for a, b in zip(before, second.model.parameters()))
        assert scaler.get_scale() == 2.0**29 and np.isfinite(second.loss)
        scaler._scale.fill_(2.0**10)
        third = next(run)
        assert any(not torch.equal(a, b.cpu()) for a, b in zip(before, third.model.parameters()))


def test_precision_follows_the_card():
    for major, minor, expected in (
        (9, 0, "bf16"),
        (8, 0, "bf16"),
        (7, 5, "fp16"),
        (7, 0, "fp16"),
        (6, 0, "no"),
    ):
        with capability(major, minor, oldest=50):
            assert distributed.start("auto").mixed_precision == expected
    assert torch.get_float32_matmul_precision() == "highest"  # logits times 64 cannot bear TF32


def test_a_run_that_is_lost_says_so(tiny):
    with pytest.raises(ValueError, match="became NaN or infinite"):
        list(train(replace(RECIPE, lr=1e30, epochs=9, grad_clip=0.0), crops()))
