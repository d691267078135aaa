"""Heads divided among processes: the dense head's loss, gradients and training, with any number of them."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from accelerate import PartialState

from facelab.models.losses import LOSSES, build_loss
from facelab.models.losses.shards import Shard, take_part
from facelab.models.recipe import Recipe
from facelab.training import loop as engine
from facelab.training.class_shards import divide
from tests.programs import sharded_heads
from tests.training.test_distributed import ROOT, TWO, launched

PROGRAM = ROOT / "tests" / "programs" / "sharded_heads.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def one(folder) -> dict:
    kept = engine.build_model, engine.build_loss
    try:
        return sharded_heads.trained(folder, "one", None)
    finally:
        engine.build_model, engine.build_loss = kept


@pytest.fixture(scope="module")
def two(folder, one) -> dict:
    done = launched(*TWO, str(PROGRAM), str(folder))
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("loss", sharded_heads.HEADS)
@pytest.mark.parametrize("labels", sharded_heads.LABELS)
def test_a_divided_head_has_the_loss_and_gradients_of_the_whole_one(two, loss, labels):
    assert two["differences"][f"{loss}, {labels}, float32"] < 1e-6
    assert two["differences"][f"{loss}, {labels}, float64"] < 1e-12


def test_a_sampled_head_scores_the_batch_s_classes_and_as_many_others_as_its_rate_says(two):
    drawn = two["sampled"]
    chosen = drawn["chosen"]
    assert len(chosen) == len(set(chosen)) == 2 * 6 and set(drawn["labels"]) <= set(chosen)
    assert sum(c < 20 for c in chosen) == 6  # as many in each process, of which one holds 0 to 19
    assert drawn["difference"] < 1e-12


def test_training_with_divided_classes_is_training(one, two):
    assert two["runs"]["two"]["losses"] == pytest.approx(one["losses"], abs=1e-9)
    assert two["runs"]["two"]["weights"] == pytest.approx(one["weights"], rel=1e-9)
    assert two["runs"]["two"]["accuracy"] == pytest.approx(one["accuracy"], abs=1e-12)
    assert two["runs"]["two"]["figures"] == pytest.approx(one["figures"], abs=1e-9) and one["figures"]


def test_a_run_goes_on_with_another_number_of_processes(folder, one, two):
    rest = one["losses"][sharded_heads.STOP :]
    assert two["runs"]["two"]["resumed"] == pytest.approx(rest, abs=1e-9)  # one process began it
    kept = engine.build_model, engine.build_loss
    try:
        resumed = sharded_heads.trained(folder, "again", "two")["resumed"]
    finally:
        engine.build_model, engine.build_loss = kept
    assert resumed == pytest.approx(rest, abs=1e-9)


@pytest.mark.parametrize("name", ["adamw", "sampled"])
def test_a_stopped_run_of_divided_classes_goes_on_exactly(two, name):
    run = two["runs"][name]
    assert run["resumed"] == run["losses"][sharded_heads.STOP :] and len(set(run["losses"])) > 5


def test_classes_are_divided_without_a_gap():
    class Mesh:
        def __init__(self, count, rank):
            self.size, self.get_local_rank = lambda: count, lambda: rank

    for total, count in ((10, 3), (8, 4), (7, 2), (1_000_003, 8)):
        rows = [Shard(total, Mesh(count, rank)).rows() for rank in range(count)]
        assert rows[0].start == 0 and rows[-1].stop == total
        assert all(a.stop == b.start for a, b in pairwise(rows))


def test_a_draw_holds_the_labels_at_any_rate_and_only_in_training():
    head = build_loss("cosface", 16, 50, {})
    divide(head, 1, rate=0.1)
    labels = torch.tensor([49, 3, 3, 0])
    for rate, expected in ((0.1, 5), (0.01, 4), (0.5, 25)):
        head.shard.rate = rate
        part = take_part(head, labels)
        assert len(part.drawn) == expected and torch.equal(part.drawn[part.places], labels)
    x = torch.randn(4, 16)
    head.eval()
    assert head.logits(x).shape == (4, 50)
    assert torch.equal(head(x, labels), build_like(head)(x, labels))


def build_like(head: torch.nn.Module) -> torch.nn.Module:
    whole = build_loss("cosface", 16, 50, {}).eval()
    whole.load_state_dict(head.state_dict())
    return whole


def test_what_cannot_be_divided_is_refused_in_words():
    with pytest.raises(ValueError, match="neither divided nor sampled; choose softmax, norm_softmax, a_soft"):
        divide(build_loss("center", 16, 4, {}), 1, 0.5)
    with pytest.raises(ValueError, match=r"sample_classes is 0.*\(0, 1\]"):
        Recipe(sample_classes=0.0)
    named = {name for name, loss in LOSSES.items() if loss.family != "pair"} - set(sharded_heads.HEADS)
    assert named == {"center", "online_label_smoothing"}  # whose tables of classes are no prototypes
    assert PartialState().num_processes == 1
