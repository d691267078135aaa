"""What is kept out of training: people, and photos of the people who stay."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.data.folders import CropSet
from facelab.models.recipe import Recipe
from facelab.training.splits import split, split_images


def labeled(sizes: list[int]) -> CropSet:
    """So many crops of each person."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    identities = tuple(f"p{i}" for i in range(len(sizes)))
    return CropSet(
        np.zeros((len(labels), 1, 1, 3), np.uint8), labels, identities, tuple(map(str, range(len(labels))))
    )


@given(st.lists(st.integers(1, 12), min_size=2, max_size=20), st.floats(0.01, 0.9), st.integers(0, 99))
def test_held_out_images_are_a_share_of_everyones(sizes, share, seed):
    data = labeled(sizes)
    everyone = data.select(range(len(sizes)))
    training, images = split_images(everyone, share, seed)
    assert sorted([*training.rows, *images.rows]) == list(range(len(data)))
    assert training.identities == images.identities == data.identities
    for label, size in enumerate(sizes):
        out = (images.labels == label).sum()
        assert out == min(max(1, round(share * size)), max(0, size - 2))
        assert set(data.labels[images.rows[images.labels == label]]) <= {label}
    again, _ = split_images(everyone, share, seed)
    assert np.array_equal(again.rows, training.rows)


def test_nothing_is_held_out_unless_asked():
    data = labeled([3, 4, 5])
    training, images = split_images(data.select(range(3)), 0.0, 0)
    assert len(training) == 12 and len(images) == 0


def test_the_three_parts_are_disjoint_and_people_are_strangers():
    data = labeled([6] * 10)
    parts = split(data, Recipe(held_out=0.2, held_out_images=0.3, split_seed=4))
    rows = [set(part.rows) for part in (parts.training, parts.images, parts.people)]
    assert sum(map(len, rows)) == len(set().union(*rows)) == 60
    assert [len(row) for row in rows] == [32, 16, 12]
    assert set(parts.people.identities).isdisjoint(parts.training.identities)
    alone = split(data, Recipe(held_out=0.2, split_seed=4))
    assert alone.people.identities == parts.people.identities  # one choice does not move the other
    other = split(data, Recipe(held_out=0.2, held_out_images=0.3, split_seed=4, seed=1))
    assert all((x.rows == y.rows).all() for x, y in zip(vars(other).values(), vars(parts).values()))


def test_held_out_people_need_two_crops():
    with pytest.raises(ValueError, match="held-out people have one crop each, so no genuine pair"):
        split(labeled([1] * 10), Recipe(held_out=0.2))


def with_blends():
    """Ten people with six crops each, and twelve crops of nobody from a source of their own."""
    data = labeled([6] * 10)
    identities = tuple(f"real/{name}" for name in data.identities)
    crops = np.concatenate([data.crops, data.crops[:12]])
    names = (*data.names, *(f"b{i}" for i in range(12)))
    labels = np.concatenate([data.labels, np.full(12, 10)])
    return CropSet(crops, labels, (*identities, "blends/x"), names), CropSet(
        data.crops, data.labels, identities, data.names
    )


def test_crops_of_nobody_are_trained_on_and_change_nothing_else():
    more, data = with_blends()
    recipe = Recipe(held_out=0.2, held_out_images=0.3, teacher="t.npz")
    alone, parts = split(data, recipe), split(more, replace(recipe, unlabeled="blends"))
    assert parts.people.identities == alone.people.identities
    assert (parts.people.rows == alone.people.rows).all() and (parts.images.rows == alone.images.rows).all()
    assert parts.training.identities == alone.training.identities
    assert parts.training.rows.tolist() == [*alone.training.rows, *range(60, 72)]
    assert parts.training.labels.tolist() == [*alone.training.labels, *[-1] * 12]


def two_sources():
    """Ten people of one source and ten of another, six crops each."""
    data = labeled([6] * 20)
    names = tuple(f"{'old' if i < 10 else 'new'}/p{i}" for i in range(20))
    return CropSet(data.crops, data.labels, names, data.names)


@pytest.mark.parametrize("source", ["old", "new"])
def test_people_of_one_source_alone_are_held_out(source):
    data = two_sources()
    parts = split(data, Recipe(held_out=0.3, held_out_from=source, split_seed=3))
    assert [name.split("/")[0] for name in parts.people.identities] == [source] * 3  # 30 % of its ten
    assert sorted(parts.training.identities + parts.people.identities) == sorted(data.identities)
    assert sorted([*parts.training.rows, *parts.people.rows]) == list(range(120))
    other = split(data, Recipe(held_out=0.3, held_out_from=source, split_seed=4))
    assert other.people.identities != parts.people.identities


def test_people_of_one_source_are_never_crops_of_nobody():
    recipe = Recipe(held_out=0.5, held_out_from="new", teacher="t.npz", unlabeled="old")
    parts = split(two_sources(), recipe)
    assert len(parts.people.identities) == len(parts.training.identities) == 5
    with pytest.raises(ValueError, match="0 identities are too few to hold out 2"):
        split(two_sources(), replace(recipe, held_out_from="old"))


def test_a_source_to_hold_out_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="held_out_from is 'odd'; it must be one of the sources: new, old"):
        split(two_sources(), Recipe(held_out_from="odd"))


def test_a_source_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="unlabeled is 'blend'; it must be one of the sources: blends, real"):
        split(with_blends()[0], Recipe(teacher="t.npz", unlabeled="blend"))


def test_crops_of_nobody_need_a_teacher():
    with pytest.raises(ValueError, match="need a teacher"):
        Recipe(unlabeled="blends")
