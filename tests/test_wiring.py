"""Flags, cache keys and boundaries outside the trainer: each test fails when one is not handed through."""

import inspect
import shutil

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from facelab.data.folders import load_crops
from facelab.data.images import ImageFolder
from facelab.evaluation import evaluate as evaluation
from facelab.evaluation.photo_pool import embed_images
from facelab.lessons.identity_walk import walk
from facelab.lessons.live.queue import PATIENCE, TrainingQueue
from facelab.lessons.live.session import Training
from facelab.metrics.operating import FARS, MIN_ACCEPTED, measure_operating_points
from facelab.metrics.verification import cosine, supported_fars
from facelab.models import checkpoint, zoo
from facelab.models.losses import build_loss
from facelab.models.recipe import Recipe
from facelab.photos.faces import Photo, read_photo
from facelab.recognition.embedder import Embedder, as_face, load
from facelab.recognition.feature_maps import maps_of
from facelab.recognition.saliency import cosine_maps
from facelab.ui import api
from facelab.ui.identify import enroll
from facelab.ui.widgets.examples import example_people
from tests.conftest import CROP, encoded

NOISE = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)


@pytest.mark.parametrize("jobs", [1, 2])
def test_without_flips_a_photo_is_embedded_in_one_view(jobs, tiny_checkpoint, tmp_path):
    (tmp_path / "a").mkdir()
    for i, crop in enumerate(np.concatenate([NOISE] * 5)):
        Image.fromarray(crop).save(tmp_path / "a" / f"{i}.png")
    folder = ImageFolder(tmp_path)
    model = str(tiny_checkpoint)
    for flip in (True, False):
        found, _ = embed_images(model, folder, folder.names, aligned=True, jobs=jobs, flip=flip)
        alone = load(model, flip).embed(Photo(NOISE[0], 1.0), [as_face(NOISE[0])])[0]
        np.testing.assert_allclose(found["a/0.png"], alone, atol=1e-5)
        other = load(model, not flip).embed(Photo(NOISE[0], 1.0), [as_face(NOISE[0])])[0]
        assert np.abs(found["a/0.png"] - other).max() > 1e-2


def test_both_models_see_one_view_where_that_is_asked_and_thresholds_are_of_two(monkeypatch, tmp_path):
    asked, arguments, rng = [], inspect.signature(embed_images), np.random.default_rng(0)

    def embedded(*given):
        found = arguments.bind(*given).arguments
        asked.append((found["model"], found["flip"]))
        return {name: rng.normal(size=4) for name in found["names"]}, {}

    monkeypatch.setattr(evaluation, "embed_images", embedded)
    monkeypatch.setattr(evaluation, "load", lambda name: Embedder(name, None, cosine, "cosine", None))
    for i, j in np.ndindex(8, 3):
        (tmp_path / "photos" / f"p{i}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / f"p{i}" / f"{j}.png").write_bytes(CROP)
    images, pairs = str(tmp_path / "photos"), tmp_path / "pairs.txt"
    pairs.write_text("p0/0.png p0/1.png 1\np0/0.png p1/0.png 0\n")
    evaluation.evaluate("one", images, str(pairs), flip=False, against="other")
    evaluation.calibrate("one", images)
    assert asked == [("one", False), ("other", False), ("one", True)]


def replaced(path, tiny_run):
    """Another network at the path of a checkpoint, in a file of the same size."""
    model, loss_fn, header = tiny_run
    with torch.no_grad():
        weight = next(model.parameters())
        weight.neg_()
        checkpoint.save(path, model, loss_fn, header)
        weight.neg_()


@pytest.mark.parametrize("look", ["load", "cosine_maps", "maps_of", "walk", "example"])
def test_a_checkpoint_that_was_replaced_is_read_again(look, tiny_checkpoint, tiny_run, tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    monkeypatch.setattr(enroll, "example_people", lambda: example_people()[:1])
    monkeypatch.setattr(zoo, "CHECKPOINTS", tmp_path)  # of which embedders stay in memory
    shutil.copy(tiny_checkpoint, path)
    see = {
        "load": lambda: load(str(path)).embed(Photo(NOISE[0], 1.0), [as_face(NOISE[0])]),
        "cosine_maps": lambda: np.stack(cosine_maps(str(path), *NOISE)),
        "maps_of": lambda: maps_of(str(path), NOISE[0])[0].maps,
        "walk": lambda: walk(str(path)).a,
        "example": lambda: enroll.example_gallery(str(path)).gallery.embeddings,
    }[look]
    before = see()
    assert np.array_equal(see(), before)
    replaced(path, tiny_run)
    assert not np.allclose(see(), before, atol=1e-3)


def test_a_list_of_labels_that_changed_is_read_again(crop_folder, tmp_path):
    flat = tmp_path / "flat"
    (flat / "images").mkdir(parents=True)
    for i, path in enumerate(sorted(crop_folder.rglob("*.png"))):
        shutil.copy(path, flat / "images" / f"{i}.png")

    def people(line):
        (flat / "labels.txt").write_text("".join(f"{i}.png {line(i)}\n" for i in range(9)))
        data = load_crops([flat], tmp_path / "cache")
        return [data.identities[label].split("/")[-1] for label in data.labels]

    assert people(lambda i: i // 3) == [*"000111222"]
    assert people(lambda i: i % 3) == [*"012012012"]


def test_a_run_that_trains_keeps_its_place_though_nobody_follows_it():
    """Two at once would need twice the memory."""
    line = TrainingQueue()
    runs = [Training(Recipe(), None, 60, line=line) for _ in range(3)]
    for run in runs:
        line.join(run)
        run._seen -= 2 * PATIENCE
    runs[0].started = True
    assert all(run.is_abandoned() for run in runs)
    assert line.position(runs[2]) == 1  # the second is counted out, the first is still at work


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_a_rate_is_offered_from_the_very_number_of_pairs_that_stands_behind_it(rate):
    enough = round(MIN_ACCEPTED / rate)
    rng = np.random.default_rng(0)
    genuine = rng.normal(2, 1, 40)
    assert measure_operating_points(genuine, rng.normal(0, 1, enough), "draws").far[-1] == pytest.approx(rate)
    if rate == FARS[0]:
        with pytest.raises(ValueError, match="too few to set thresholds"):
            measure_operating_points(genuine, rng.normal(0, 1, enough - 1), "draws")
    else:
        fewer = measure_operating_points(genuine, rng.normal(0, 1, enough - 1), "draws")
        assert fewer.far[-1] > rate * 1.01
    with pytest.raises(ValueError, match="too few to set thresholds"):
        measure_operating_points(genuine[: MIN_ACCEPTED - 1], rng.normal(0, 1, enough), "draws")


def test_a_genuine_pair_at_the_threshold_is_accepted():
    rng = np.random.default_rng(1)
    genuine, impostor = rng.normal(2, 1, 40), rng.normal(0, 1, 1000)
    points = measure_operating_points(genuine, impostor, "draws")
    at = np.full(40, points.threshold[-1])
    at[:10] = points.threshold[-1] - 1
    assert measure_operating_points(at, impostor, "draws").frr[-1] == 0.25


@pytest.mark.parametrize(("count", "kept"), [(9, 0), (10, 1), (99, 1), (100, 2), (999, 2), (1000, 3)])
def test_a_protocols_rate_needs_one_impostor_pair_to_spare(count, kept):
    assert len(supported_fars((0.1, 0.01, 0.001), count)) == kept


def test_sixteen_bits_become_eight_by_257_at_both_ends():
    # 65535 = 255 * 257: dividing by 256 instead would turn 65280 into 255 and shift every bright value.
    values = np.array([0, 256, 257, 513, 514, 32896, 65278, 65279, 65535], np.uint16)
    row = np.repeat(values[None], 40, 0).repeat(8, 1)
    pixels = read_photo(encoded(Image.fromarray(row), "PNG")).pixels[0, ::8, 0]
    assert pixels.tolist() == [round(v / 257) for v in values.tolist()] == [0, 1, 1, 2, 2, 128, 254, 254, 255]


def test_soft_labels_are_collected_in_training_alone():
    loss_fn = build_loss("online_label_smoothing", 4, 3, {})
    embeddings, labels = torch.eye(4)[:3], torch.arange(3)
    with torch.no_grad():
        loss_fn.linear.weight.copy_(torch.eye(4)[:3])  # every one is named rightly
    loss_fn.eval()(embeddings, labels)
    assert not loss_fn.sums.any()
    loss_fn.train()(embeddings, labels)
    assert loss_fn.sums.sum().item() == pytest.approx(3)


def test_the_endpoints_hand_their_inputs_on_in_the_order_of_their_functions():
    with gr.Blocks() as page:
        api.build()
    expected = {
        "compare": ["Photo A", "Photo B", "Model", "False-accept rate"],
        "identify": ["Photo", "Gallery", "Model", "False-accept rate"],
        "embed": ["Photo", "Model"],
    }
    found = {fn.api_name: [block.label for block in fn.inputs] for fn in page.fns.values()}
    assert {name: found[name] for name in expected} == expected


def test_centers_move_in_training_alone():
    loss_fn = build_loss("center", 4, 3, {})
    embeddings, labels = torch.eye(4)[:3], torch.arange(3)
    loss_fn.eval()(embeddings, labels)
    assert not loss_fn.centers.any()
    loss_fn.train()(embeddings, labels)
    assert loss_fn.centers.any(1).all()
