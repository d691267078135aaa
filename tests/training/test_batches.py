"""The order of an epoch: every crop at most once, or P different people with K crops each."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facelab.data.folders import Selection
from facelab.models.recipe import Recipe
from facelab.training import batches
from facelab.training.batches import epoch_order, on_device, read_batches

PEOPLE = Recipe(batch_size=12, images_per_identity=4)
SHUFFLED = Recipe(batch_size=12)


def selection(counts: list[int]) -> Selection:
    """People with so many crops each; crop i is filled with i."""
    labels = np.repeat(np.arange(len(counts)), counts)
    crops = np.broadcast_to(
        np.arange(len(labels), dtype=np.uint8)[:, None, None, None], (len(labels), 2, 2, 3)
    )
    return Selection(crops, np.arange(len(labels)), labels, tuple(f"p{i}" for i in range(len(counts))))


UNEVEN = selection([5, 9, 2, 14, 7, 8, 3])


def test_shuffled_epochs_show_every_crop_at_most_once_and_differ():
    first, second = (epoch_order(UNEVEN, SHUFFLED, epoch) for epoch in (0, 1))
    assert first.shape == (4, 12) and len(np.unique(first)) == 48 == len(UNEVEN)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, epoch_order(UNEVEN, SHUFFLED, 0))
    assert not np.array_equal(first, epoch_order(UNEVEN, replace(SHUFFLED, seed=1), 0))


def test_a_batch_larger_than_the_data_holds_all_of_them():
    order = epoch_order(UNEVEN, replace(SHUFFLED, batch_size=100), 0)
    assert order.shape == (1, 48) and sorted(order[0]) == list(range(48))


@pytest.mark.parametrize("epoch", range(5))
def test_a_batch_of_people_holds_p_different_ones_with_k_crops_each(epoch):
    order = epoch_order(UNEVEN, PEOPLE, epoch)
    assert len(order) == len(epoch_order(UNEVEN, PEOPLE, 0))
    for rows in order:
        people, count = np.unique(UNEVEN.labels[rows], return_counts=True)
        assert len(people) == 3 and set(count) == {4}
        assert all((hand == hand[0]).all() for hand in UNEVEN.labels[rows].reshape(3, 4))


def test_crops_repeat_only_for_people_who_have_too_few():
    order = epoch_order(UNEVEN, PEOPLE, 0)
    for rows in order:
        for hand in rows.reshape(3, 4):
            assert len(set(hand)) == min(4, (UNEVEN.labels == UNEVEN.labels[hand[0]]).sum())
    whole = selection([8] * 6)  # hands come out even: nothing is drawn twice or left out
    order = epoch_order(whole, PEOPLE, 3)
    assert sorted(order.ravel()) == list(range(48))


def test_people_are_played_evenly_over_epochs():
    shown = np.concatenate([epoch_order(UNEVEN, PEOPLE, epoch).ravel() for epoch in range(40)])
    share = np.bincount(UNEVEN.labels[shown], minlength=7) / len(shown)
    assert share.argmax() == 3 and share.min() > 0.04  # the one with most crops most; nobody forgotten


def test_too_few_people_or_crops_are_refused_by_name():
    with pytest.raises(
        ValueError, match=r"takes 3 people with 4 crops each and there are 2; lower batch_size to 8"
    ):
        epoch_order(selection([9, 9]), PEOPLE, 0)
    with pytest.raises(
        ValueError, match=r"2 people have one crop only, the first p1; .* images_per_identity 0"
    ):
        epoch_order(selection([9, 1, 4, 1]), PEOPLE, 0)


def test_batches_are_read_in_the_order_asked_for():
    order = epoch_order(UNEVEN, SHUFFLED, 0)
    read = list(read_batches(UNEVEN, order, torch.device("cpu")))
    assert [batch[:, 0, 0, 0].tolist() for batch in read] == order.tolist()
    resident = torch.from_numpy(np.array(UNEVEN.crops))
    assert all(
        torch.equal(a, b) for a, b in zip(read, read_batches(UNEVEN, order, torch.device("cpu"), resident))
    )
    assert list(read_batches(UNEVEN, order[:0], torch.device("cpu"))) == []


def test_reading_ahead_stops_with_its_consumer(monkeypatch):
    read = []
    monkeypatch.setattr(batches, "_read", lambda data, rows, device: read.append(0) or torch.zeros(1))
    run = read_batches(UNEVEN, epoch_order(UNEVEN, SHUFFLED, 0), torch.device("cpu"))
    next(run)
    run.close()
    assert len(read) == 2


def test_only_a_gpu_holds_crops():
    assert on_device(UNEVEN, torch.device("cpu")) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_with_room_holds_all_crops():
    resident = on_device(UNEVEN, torch.device("cuda"))
    assert torch.equal(resident.cpu(), torch.from_numpy(np.array(UNEVEN.crops)))
