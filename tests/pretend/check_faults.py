"""Mistakes that a CPU forgives, put into the package on purpose: the pretend device notices each of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from facelab.data.embeddings import save_embeddings
from facelab.models.losses import classification, margins
from facelab.models.losses.center import Center
from facelab.models.losses.classification import OnlineLabelSmoothing
from facelab.models.regularizers import Dropout
from facelab.photos.read import LUMA
from facelab.training import augment, batches, distillation, loop, optim, resume, validation
from tests.pretend.check_training import RECIPE, Tiny, crops
from tests.pretend.device import LOG


def arange_without_device(patch):
    patch.setattr(margins, "of_true_class", lambda scores, labels: scores[torch.arange(len(labels)), labels])


def index_on_the_host(patch):
    def read(data, order, device, resident=None):
        yield from (resident[torch.from_numpy(rows)] for rows in order)

    patch.setattr(loop, "read_batches", read)


def constant_on_the_host(patch):
    patch.setattr(augment, "_luma", lambda device: torch.tensor(LUMA))


def random_numbers_on_the_host(patch):
    patch.setattr(loop, "augment", lambda x, recipe, draw, real=loop.augment: real(x, recipe, draw.cpu()))


def generator_of_the_host(patch):
    patch.setattr(
        loop, "draw_from", lambda model, generator, real=loop.draw_from: real(model, torch.Generator())
    )


def strides_of_a_file(patch):
    patch.setattr(resume, "_laid_out", lambda value, parameter: value)


def numpy_of_the_device(patch):
    patch.setattr(
        validation,
        "class_logits",
        lambda loss_fn, x: loss_fn.logits(torch.from_numpy(x).to("cuda")).detach().numpy(),
    )


def embeddings_on_the_host(patch):
    patch.setattr(validation, "class_logits", lambda loss_fn, x: loss_fn.logits(torch.from_numpy(x)))


def average_on_the_host(patch):
    real = optim.Average.__init__

    def made(self, modules, decay):
        real(self, modules, decay)
        self._averaged = [(mean.cpu(), value) for mean, value in self._averaged]

    patch.setattr(optim.Average, "__init__", made)


def centers_that_are_no_buffer(patch):
    real = Center.__init__

    def made(self, *args, **options):
        real(self, *args, **options)
        centers = self._buffers.pop("centers")
        self.centers = centers

    patch.setattr(Center, "__init__", made)


def teacher_on_the_host(patch):
    real = distillation.Teacher.__init__
    patch.setattr(distillation.Teacher, "__init__", lambda self, x, weight: real(self, x.cpu(), weight))


def copy_that_waits(patch):
    patch.setattr(loop, "sent", lambda values, device: torch.as_tensor(values).to(device))


def copy_of_unpinned_memory(patch):
    patch.setattr(
        batches, "sent", lambda values, device: torch.as_tensor(values).to(device, non_blocking=True)
    )


def number_read_in_a_step(patch):
    patch.setattr(loop, "fetch", lambda values: values.tolist and (lambda: [float(x) for x in values]))


def rows_by_a_mask(patch):
    def collect(self, log_p: Tensor, labels: Tensor) -> None:
        right = log_p.argmax(1) == labels
        self.sums.index_add_(0, labels[right], log_p[right].exp())

    patch.setattr(OnlineLabelSmoothing, "_collect", collect)


def bias_of_the_host(patch):
    def logits(weight, bias, x):
        return torch.nn.functional.linear(x, weight, torch.zeros(len(weight)))

    patch.setattr(classification, "scores_of", logits)


FAULTS: dict[Callable, dict[str, object]] = {  # what it is noticed with
    arange_without_device: {"loss": "arcface"},
    index_on_the_host: {},
    constant_on_the_host: {},
    random_numbers_on_the_host: {},
    generator_of_the_host: {"dropout": 0.2},
    strides_of_a_file: {},
    numpy_of_the_device: {"held_out_images": 0.25},
    embeddings_on_the_host: {"held_out_images": 0.25},
    average_on_the_host: {"ema_decay": 0.9},
    centers_that_are_no_buffer: {"loss": "center"},
    teacher_on_the_host: {"teacher": "teacher.npz"},
    copy_that_waits: {},
    copy_of_unpinned_memory: {},
    number_read_in_a_step: {},
    rows_by_a_mask: {"loss": "online_label_smoothing"},
    bias_of_the_host: {},
}


def trouble(recipe, data, state) -> str:
    """What a run, resumed after its first step, is refused for or waits for; nothing if it is clean."""
    try:
        resume.save(state, next(loop.train(recipe, data)).run)
        for progress in loop.train(recipe, data, state):
            if not progress.epoch_done and sum(LOG.waits.values()) > 1 and progress.step > 2:
                return str(LOG.waits)
            LOG.clear()
    except (RuntimeError, TypeError) as error:
        return str(error) or type(error).__name__
    return ""


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_noticed(plant, monkeypatch, tmp_path):
    fields, data = FAULTS[plant], crops()
    if "teacher" in fields:
        fields = {"teacher": str(tmp_path / "teacher.npz")}
        vectors = np.random.default_rng(1).normal(size=(len(data), 16)).astype(np.float32)
        save_embeddings(fields["teacher"], data.names, vectors)

    def made(recipe):
        model = Tiny()
        model.neck[2] = Dropout(recipe.dropout)
        return model

    monkeypatch.setattr(loop, "build_model", made)
    recipe = replace(RECIPE, epochs=1, **fields)
    assert not trouble(recipe, data, tmp_path / "clean.run.safetensors")
    plant(monkeypatch)
    assert trouble(recipe, data, tmp_path / "planted.run.safetensors")
