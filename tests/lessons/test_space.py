"""The embedding-space lesson: who is shown follows from names alone, and only numbers are kept."""

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelab.cli import lessons as cli_lessons
from facelab.cli.terminal import track
from facelab.data.folders import CropSet
from facelab.lessons import projection
from facelab.lessons import space as lesson
from facelab.lessons.space import Crowd, Figures, Space
from facelab.metrics.geometry import inter_class_angle, intra_class_angle
from facelab.metrics.similarity import normalized
from facelab.metrics.verification import all_pairs, equal_error_rate
from facelab.models import checkpoint
from facelab.models.losses import build_loss
from facelab.models.model import build_model, embed
from facelab.models.recipe import Recipe
from facelab.training.splits import split
from tests.conftest import one_sentence

RECIPE = Recipe(neck="pool", embedding_dim=8, held_out=0.4, seed=3)
COUNTS = (14, 13, 12, 13, 15, 14, 2, 13, 15, 4)


@pytest.fixture(scope="module")
def data() -> CropSet:
    """Ten people of noise, each with a shade of their own and a number of crops of their own."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), COUNTS)
    shades = rng.integers(30, 220, (10, 1, 1, 3))[labels]
    crops = np.clip(shades + rng.normal(0, 25, (len(labels), 112, 112, 3)), 0, 255).astype(np.uint8)
    names = tuple(f"{i:04d}.jpg" for i in rng.permutation(len(labels)))
    return CropSet(crops, labels, tuple(f"set/id{i}" for i in range(10)), names)


def saved(path, seed, recipe=RECIPE, count=6, identities=()):
    """A checkpoint of random weights."""
    torch.manual_seed(seed)
    model, loss_fn = build_model(recipe), build_loss("softmax", 8, count, {})
    checkpoint.save(path, model, loss_fn, checkpoint.Header(recipe, count, "noise", identities=identities))
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [saved(folder / f"m{seed}.safetensors", seed) for seed in (1, 2)]


def quick_umap(embeddings, dims, neighbors=15, seed=0):
    return np.asarray(embeddings, np.float32)[:, :dims] * neighbors + seed


@pytest.fixture(scope="module")
def measured(models, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "umap_map", quick_umap)
        return [lesson.measure(model, data, track) for model in models]


def rule(data, people):
    """The sample's crops by a slow reading of its rule: [(identity, crop name), ...]."""
    sha = lambda text: hashlib.sha256(text.encode()).hexdigest()  # noqa: E731
    crops = {
        name: [data.names[row] for k, row in zip(people.labels, people.rows) if people.identities[k] == name]
        for name in people.identities
    }
    order = sorted(crops, key=lambda name: (-min(len(crops[name]), 12), sha(name)))[:16]
    return [
        (name, crop) for name in order for crop in sorted(crops[name], key=lambda c: sha(f"{name}/{c}"))[:12]
    ]


def test_the_sample_follows_from_names_whatever_the_model_and_the_order_of_crops(data, models, measured):
    first, second = measured
    assert first.sample == second.sample and not np.allclose(
        first.unseen.embeddings, second.unseen.embeddings
    )
    parts = split(data, replace(RECIPE, held_out_images=0.1))
    network = checkpoint.load(models[0])[0]
    pairs = rule(data, parts.people)
    crops = np.stack([data.crops[data.names.index(crop)] for _, crop in pairs])
    np.testing.assert_allclose(first.unseen.embeddings, embed(network, crops), atol=1e-4)
    people = list(dict.fromkeys(name for name, _ in pairs))
    assert first.unseen.labels.tolist() == [people.index(name) for name, _ in pairs]
    order = np.random.default_rng(5).permutation(len(data))
    mixed = CropSet(
        data.crops[order], data.labels[order], data.identities, tuple(data.names[i] for i in order)
    )
    again, _ = lesson.chosen(people_of := split(mixed, RECIPE).people, _names(mixed, people_of))
    assert [mixed.names[people_of.rows[i]] for i in again] == [crop for _, crop in pairs]


def test_a_model_that_also_imitated_others_is_shown_on_the_same_people(data, measured, tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "umap_map", quick_umap)
    taught = replace(RECIPE, teacher="teacher.npz", unlabeled="blends")
    found = lesson.measure(saved(tmp_path / "taught.safetensors", 1, taught), data)
    assert found.sample == measured[0].sample
    np.testing.assert_array_equal(found.unseen.embeddings, measured[0].unseen.embeddings)


def _names(data, people):
    return [f"{people.identities[k]}/{data.names[row]}" for k, row in zip(people.labels, people.rows)]


def test_people_of_training_are_as_many_and_show_photos_that_every_model_learned(data, models, measured):
    parts = split(data, replace(RECIPE, held_out_images=0.1))
    crowd = measured[0].seen
    assert crowd.figures.people == measured[0].unseen.figures.people == len(parts.people.identities) == 4
    network = checkpoint.load(models[0])[0]
    learned = embed(network, parts.training.batch(np.arange(len(parts.training))))
    gaps = np.abs(crowd.embeddings[:, None] - learned[None]).max(2).min(1)
    assert gaps.max() < 1e-4  # each shown vector is that of a learned photo


def test_figures_are_measured_in_the_original_space_on_everybody_held_out(data, models, measured):
    people = split(data, RECIPE).people
    vectors = embed(checkpoint.load(models[0])[0], people.batch(np.arange(len(people))))
    figures = measured[0].unseen.figures
    assert figures.intra == pytest.approx(intra_class_angle(vectors, people.labels), abs=1e-3)
    assert figures.inter == pytest.approx(inter_class_angle(vectors, people.labels), abs=1e-3)
    assert figures.eer == pytest.approx(equal_error_rate(*all_pairs(vectors, people.labels))[0], abs=1e-6)
    assert (figures.people, figures.photos) == (4, len(people))
    assert 0 < figures.intra < 90 and figures.photos > len(measured[0].unseen.labels)


def test_six_variants_of_a_map_are_of_unit_vectors_with_the_settings_that_they_name(measured):
    vectors = measured[0].unseen.embeddings
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert sorted(set(lesson.UMAP_VARIANTS)) == [(5, 0), (5, 1), (5, 2), (30, 0), (30, 1), (30, 2)]
    for at, (neighbors, seed) in zip(measured[0].umap_variants, lesson.UMAP_VARIANTS):
        np.testing.assert_allclose(at, unit[:, :2] * neighbors + seed, atol=1e-5)


def full_size(length=128, sample="00" * 8, seed=0):
    """What a real file holds, of noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(16), 12)

    def crowd():
        vectors = rng.normal(size=(16, length))[labels] + rng.normal(size=(192, length))
        umap = {d: rng.normal(size=(192, d)) * 9 for d in (2, 3)}
        return Crowd(vectors.astype(np.float32), labels, umap, Figures(50.0, 60.5, 0.15, 0.9, 56, 1551))

    return Space(crowd(), crowd(), rng.normal(size=(6, 192, 2)) * 9, sample)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lesson, "FOLDER", tmp_path)
    return tmp_path


def test_a_file_keeps_numbers_only_and_is_small(folder):
    space = full_size()
    lesson.save(folder / "a.npz", space)
    assert (folder / "a.npz").stat().st_size < 130_000
    with np.load(folder / "a.npz", allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} == {"f", "u"}
        assert max(file[name].size for name in file.files) == 192 * 128  # no room for a picture
    read = lesson.load("a")
    assert read.sample == space.sample and read.unseen.figures == space.unseen.figures
    for ours, theirs in ((read.unseen, space.unseen), (read.seen, space.seen)):
        cosines = (ours.embeddings * theirs.embeddings).sum(1)
        cosines /= np.linalg.norm(ours.embeddings, axis=1) * np.linalg.norm(theirs.embeddings, axis=1)
        assert np.degrees(np.arccos(np.minimum(cosines, 1))).max() < 0.1
        np.testing.assert_allclose(ours.umap[3], theirs.umap[3], atol=0.02)
    np.testing.assert_allclose(read.umap_variants, space.umap_variants, atol=0.02)


def test_a_file_of_an_earlier_version_is_read(folder):
    """`umap_variants` were called `honest`."""
    lesson.save(folder / "now.npz", full_size())
    with np.load(folder / "now.npz") as file:
        arrays = {"honest" if name == "umap_variants" else name: file[name] for name in file.files}
    np.savez(folder / "before.npz", **arrays)
    assert np.array_equal(lesson.load("before").umap_variants, lesson.load("now").umap_variants)


def test_missing_and_damaged_files_say_how_to_make_them(folder):
    assert lesson.comparable() == ([], [])
    with pytest.raises(
        ValueError, match=r"no map of '\.\./a'; make it with `python -m facelab lessons space"
    ):
        lesson.load("../a")
    lesson.save(folder / "good.npz", full_size())
    lesson.save(folder / "other.npz", full_size(sample="11" * 8))
    (folder / "torn.npz").write_bytes((folder / "good.npz").read_bytes()[:5000])
    np.savez(folder / "wrong.npz", umap_variants=np.zeros(3))
    for name in ("torn", "wrong"):
        with pytest.raises(ValueError, match=f"{name}.npz is damaged") as error:
            lesson.load(name)
        assert one_sentence(str(error.value), folder)
    names, notes = lesson.comparable()
    assert names == ["good"] and len(notes) == 3
    assert notes[0].startswith("other held out other identities than good")


def test_a_photo_is_placed_and_its_people_ranked(folder):
    space = full_size()
    lesson.save(folder / "a.npz", space)
    vector = space.unseen.embeddings[25] * 7  # a photo of person 2, at another length
    cosines = lesson.cosines("a", "unseen", vector)
    assert cosines.argmax() == 25 and cosines[25] == pytest.approx(1, abs=1e-4)
    people = lesson.nearest_people("a", "unseen", vector, 16)
    best = [cosines[space.unseen.labels == person].max() for person in range(16)]
    assert people[0][0] == 2 and [score for _, score in people] == pytest.approx(sorted(best, reverse=True))
    for dims in (2, 3):
        at = lesson.place("a", "unseen", "pca", dims, vector)
        np.testing.assert_allclose(at, lesson.coordinates("a", "unseen", "pca", dims)[25], atol=1e-3)
    expected = projection.place(lesson.coordinates("a", "unseen", "umap", 2), cosines)
    np.testing.assert_allclose(lesson.place("a", "unseen", "umap", 2, vector), expected)


def test_a_map_that_was_replaced_has_axes_of_its_own(folder):
    for seed in (1, 2):
        space = full_size(seed=seed)
        lesson.save(folder / "a.npz", space)
        os.utime(folder / "a.npz", (seed, seed))
        own = projection.fit_pca(normalized(space.unseen.embeddings), 2)
        np.testing.assert_allclose(lesson.pca("a", "unseen", 2).share, own.share, rtol=1e-3)


def test_other_crops_and_a_model_that_saw_everybody_are_refused(data, tmp_path):
    wrong = saved(tmp_path / "wrong.safetensors", 0, count=7)
    with pytest.raises(ValueError, match="trained on 7 identities and these data leave 6"):
        lesson.measure(wrong, data)
    others = tuple(f"set/id{i}" for i in range(6))
    with pytest.raises(ValueError, match="or others; name the sources"):
        lesson.measure(saved(tmp_path / "others.safetensors", 0, identities=others), data)
    everybody = saved(tmp_path / "all.safetensors", 0, replace(RECIPE, held_out=0.0), 10)
    with pytest.raises(ValueError, match="was trained on all identities"):
        lesson.measure(everybody, data)


def test_the_command_writes_a_file_per_model_and_refuses_in_one_sentence(
    folder, data, crop_folder, models, monkeypatch, capsys
):
    monkeypatch.setattr(cli_lessons, "CACHE", folder / "cache")
    monkeypatch.setattr(lesson, "measure", lambda model, crops, track: full_size(seed=len(crops)))
    cli_lessons.lessons(["space", *models, "--data", str(crop_folder)])
    assert lesson.names() == ["m1", "m2"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].split()[:4] == ["m1", "unseen", "56", "people"]
    assert "intra  50.0°  inter  60.5°  EER 0.150  AUC 0.900" in lines[3]
    for words, argv in (
        ("unknown lesson 'spaec'", ["spaec"]),
        ("there is no model 'nobody'", ["space", "nobody", "--data", str(crop_folder)]),
        ("unknown run 'centr'", ["epochs", "--data", str(crop_folder), "--runs", "centr"]),
        (
            "3 identities are too few to hold out 2",
            ["epochs", "--data", str(crop_folder), "--start", models[0]],
        ),
    ):
        with pytest.raises(ValueError) as error:
            cli_lessons.lessons(argv)
        assert words in str(error.value) and one_sentence(str(error.value), folder)
