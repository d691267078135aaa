"""Training for an audience: one at a time, the others in line, and nothing left of those who went away."""

import gc
import itertools
import math
import os
import sys
import threading
import time
import weakref
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from facelab.data.folders import CropSet, Selection, load_crops
from facelab.data.parametric import ParametricFaces
from facelab.lessons.live import course as live_course
from facelab.lessons.live import data as live_data
from facelab.lessons.live import queue as live_queue
from facelab.lessons.live import session as live
from facelab.lessons.live.course import Map, Snapshot, course, flat_map
from facelab.lessons.live.data import DrawnCrops, TrainingData, from_photos, rendered
from facelab.lessons.live.queue import TrainingQueue
from facelab.lessons.live.session import Training
from facelab.lessons.live.settings import (
    HERE,
    HOSTED,
    Choice,
    check_faces,
    compose,
    limits,
    losses,
    networks,
)
from facelab.models.recipe import Recipe
from facelab.settings import host as host_address
from tests.conftest import CROP, as_zip, encoded, one_sentence, zipped
from tests.networks import SMALL

STEPS = 6
pytestmark = pytest.mark.usefixtures("small_backbone")
RECIPE = Recipe(backbone=SMALL, held_out=0.0, epochs=2)


@dataclass
class Step:
    """What `live` reads of a Progress."""

    step: int
    model: nn.Module
    loss_fn: nn.Module
    steps: int = STEPS
    epochs: int = 2
    images_per_second: float = 5.0
    seconds_left: float = 1.0

    run = SimpleNamespace(history=SimpleNamespace(so_far=list))

    @property
    def epoch(self):
        return 1 + (self.step - 1) // 3

    @property
    def loss(self):
        return 10.0 / self.step

    accuracy = 0.5

    @property
    def epoch_done(self):
        return self.step % 3 == 0

    @property
    def validation(self):
        return {"eer": 0.1 * self.step} if self.epoch_done else {}


class Stage:
    """Stands in for `train`: steps only when it is let, and tells what was closed."""

    def __init__(self):
        self.go, self.closed, self.models = threading.Semaphore(0), [], []

    def __call__(self, recipe, data):
        model = nn.Linear(2, 2)
        self.models.append(weakref.ref(model))
        try:
            for step in range(1, STEPS + 1):
                assert self.go.acquire(timeout=240)
                yield Step(step, model, nn.Linear(1, 1))
        finally:
            self.closed.append(recipe.seed)

    def let(self, steps):
        for _ in range(steps):
            self.go.release()


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.setattr(live, "POLL", 0.01)
    stage = Stage()
    monkeypatch.setattr(live_course, "train", stage)
    return stage


def pool():
    crops = np.full((4, 112, 112, 3), 7, np.uint8)
    return TrainingData(CropSet(crops, np.array([0, 0, 1, 1]), ("a", "b"), tuple("1234")), "four")


def training(line, seed=0, seconds=60.0, visitor="v", tab="Train"):
    return Training(replace(RECIPE, seed=seed), pool(), seconds, visitor, tab, ("what",), line)


def until(snapshots, wanted):
    """The first snapshot for which `wanted` holds."""
    deadline = time.monotonic() + 240
    for snapshot in snapshots:
        if wanted(snapshot):
            return snapshot
        assert time.monotonic() < deadline, snapshot
    raise AssertionError("it ended before")


def test_the_end_comes_once(stage, monkeypatch):
    monkeypatch.setattr(live, "give_back_memory", lambda: time.sleep(0.2))
    stage.let(STEPS)
    told = list(training(TrainingQueue()).follow())
    assert [snapshot.result is not None for snapshot in told] == [False] * (len(told) - 1) + [True]
    assert "finished" not in [snapshot.state for snapshot in told[:-1]]


def test_a_run_tells_every_loss_and_every_epochs_figures(stage):
    stage.let(STEPS)
    *_, last = training(TrainingQueue()).follow()
    assert last.state == "finished" and last.result is not None
    assert last.losses == tuple(10 / step for step in range(1, STEPS + 1))
    assert last.figures == ((3, {"eer": pytest.approx(0.3)}), (6, {"eer": pytest.approx(0.6)}))
    header = last.result.header
    assert (header.data, header.num_classes) == ("four: 2 identities, 4 crops", 2)
    assert header.metrics == {"held_out": {"eer": pytest.approx(0.6)}} and header.identities == ("a", "b")


@pytest.mark.parametrize(("limit", "steps"), [(0.0, 1), (60.0, STEPS)])
def test_a_run_ends_after_the_step_that_passes_its_limit(stage, limit, steps):
    stage.let(STEPS)
    *_, before, last = course(RECIPE, pool(), limit, lambda: False)
    assert (before.state, before.step, last.step) == ("ending", steps, steps) and last.result is not None
    assert (last.state, "limit of 0 minutes" in last.message) == (
        ("stopped", True) if steps == 1 else ("finished", False)
    )


def test_the_limit_is_in_seconds_and_may_be_reached(stage, monkeypatch):
    ticks = itertools.count(0, 10)  # a step takes ten seconds
    monkeypatch.setattr(live_course, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    stage.let(STEPS)
    *_, last = course(RECIPE, pool(), 20.0, lambda: False)
    assert (last.state, last.step) == ("stopped", 3)


def test_the_second_waits_its_turn_and_sees_its_place(stage):
    line = TrainingQueue()
    runs = [training(line, seed, visitor=f"v{seed}") for seed in range(3)]
    first, second, third = (run.follow() for run in runs)
    until(first, lambda s: s.state == "starting")
    assert [next(second).ahead, next(third).ahead] == [1, 2]
    assert next(second).state == "waiting" and len(stage.models) == 1
    stage.let(STEPS)
    until(first, lambda s: s.state == "finished")
    until(second, lambda s: s.state == "starting")
    assert next(third).ahead == 1
    second.close()
    runs[1]._seen -= live_queue.PATIENCE + 1
    stage.let(1)  # its step ends, and with it the run
    until(third, lambda s: s.state in ("starting", "training"))
    third.close()
    runs[2]._seen -= live_queue.PATIENCE + 1
    stage.let(1)
    assert all(run.wait(60) for run in runs) and line._runs == []


def test_a_visitor_has_one_place_whatever_the_tab(stage):
    line = TrainingQueue()
    first, second, other = training(line), training(line, 1, tab="Transfer"), training(line, 2, visitor="w")
    running, beside = first.follow(), other.follow()
    until(running, lambda s: s.state == "starting")
    next(beside)
    (refused,) = second.follow()
    assert refused.state == "failed" and one_sentence(refused.message) and line._runs == [first, other]
    assert (line.tab_of("v"), line.tab_of("w"), line.tab_of("x"), line.tab_of("")) == (
        "Train",
        "Train",
        None,
        None,
    )
    other._seen -= live_queue.PATIENCE + 1  # it is counted out, and its visitor begins another run
    assert line.position(first) == 0 and line._runs == [first]
    newer = training(line, 3, visitor="w").follow()
    next(newer)
    assert until(beside, lambda s: s.state == "stopped").result is None  # the older one is back, and ends
    assert len(line._runs) == 2
    first.stop()
    stage.let(1)
    assert first.wait(60) and line.join(second)  # afterwards there is a place


def test_the_wait_is_what_the_runs_ahead_still_take(stage):
    line = TrainingQueue()
    first, second, third = (training(line, i, seconds=60.0, visitor=f"v{i}") for i in range(3))
    ways = [run.follow() for run in (first, second, third)]
    until(ways[0], lambda s: s.state == "starting")
    assert [next(way).ahead for way in ways[1:]] == [1, 2] and math.isnan(line.wait(third))
    first._latest, first._began = Snapshot("training", seconds_left=500.0), time.monotonic() - 10
    assert first.clock()[0] >= 10 and line.wait(second) <= 50  # the limit ends it
    first.clock = lambda: (10.0, 20.0)
    assert line.wait(second) == next(ways[1]).seconds_left == 20
    assert line.wait(third) == 20 + 30  # the second is expected to take as long as the first
    line._took.extend((8.0, 12.0))
    assert line.wait(third) == 20 + 10  # or as the last runs took
    line._took.extend([900.0] * 8)
    assert line.wait(third) == 20 + 60  # or until its limit
    del first.clock
    first.stop()
    stage.let(1)
    assert first.wait(60) and line._took[-1] >= 10


def test_who_leaves_the_line_makes_room(stage):
    line = TrainingQueue()
    first, second, third = (training(line, seed, visitor=f"v{seed}") for seed in range(3))
    running = first.follow()
    next(running)
    waiting, last = second.follow(), third.follow()
    next(waiting)
    assert next(last).ahead == 2
    line.stop("v1", "Train")
    assert until(waiting, lambda s: s.state == "stopped").result is None
    assert list(waiting) == [] and next(last).ahead == 1
    assert line.find("v1", "Train") is None
    first.stop()
    stage.let(1)
    assert first.wait(60)


def test_stop_ends_after_the_step_and_keeps_what_was_learned(stage):
    line = TrainingQueue()
    run = training(line)
    snapshots = run.follow()
    stage.let(2)
    until(snapshots, lambda s: s.step == 2)
    line.stop("somebody else", "Train")
    line.stop("v", "another tab")
    assert next(snapshots).state == "training"
    line.stop("v", "Train")
    assert next(snapshots).state == "ending"  # at once, though a step is being computed
    stage.let(1)
    last = until(snapshots, lambda s: s.state == "stopped")
    assert last.step == 3 and last.result and stage.closed == [0] and "You stopped it" in last.message


def test_going_away_for_good_ends_the_run_and_frees_its_memory(stage):
    line = TrainingQueue()
    run = training(line)
    crops = weakref.ref(run._pool.data.crops)
    snapshots = run.follow()
    stage.let(1)
    until(snapshots, lambda s: s.step == 1)
    snapshots.close()
    run._seen -= live_queue.PATIENCE + 1
    stage.let(1)
    assert run.wait(60) and run.is_lost() and line.find("v", "Train") is None
    assert run._end.result is None and stage.closed == [0] and line._runs == line._over == []
    gc.collect()
    assert crops() is None and stage.models[0]() is None


def test_who_comes_back_finds_the_run_again_and_nobody_else_does(stage):
    line = TrainingQueue()
    first, second = training(line), training(line, 1, visitor="w")
    snapshots, waiting = first.follow(), second.follow()
    stage.let(2)
    until(snapshots, lambda s: s.step == 2)
    next(waiting)
    snapshots.close()
    waiting.close()
    assert line.find("v", "Train") is first and line.find("w", "Train") is second
    assert not any(line.find(*other) for other in (("v", "Transfer"), ("x", "Train"), ("", "Train")))
    assert next(line.find("w", "Train").follow()).ahead == 1  # its place is kept
    stage.let(STEPS - 2)
    again, also = first.follow(), first.follow()  # a second page of the same tab starts no second thread
    assert [until(way, lambda s: s.state == "finished").step for way in (again, also)] == [STEPS, STEPS]
    assert len(stage.models) == 1


def test_an_end_that_nobody_was_told_waits_for_them_and_not_for_ever(stage, monkeypatch):
    line = TrainingQueue()
    run, other = training(line), training(line, 1, visitor="w")
    snapshots = run.follow()
    until(snapshots, lambda s: s.state == "starting")
    snapshots.close()
    stage.let(STEPS)
    assert run.wait(60) and line.tab_of("v") is None
    *_, last = line.find("v", "Train").follow()
    assert last.result is not None and line.find("v", "Train") is None  # told once
    monkeypatch.setattr(live_queue, "PATIENCE", 0.0)
    line.leave(other, over=True)
    deadline = time.monotonic() + 60
    while line._over:
        assert time.monotonic() < deadline, "an ended run is still held"
        time.sleep(0.01)


def test_a_run_that_nobody_follows_ends_by_itself(stage, monkeypatch):
    line = TrainingQueue()
    run = training(line)
    snapshots = run.follow()
    until(snapshots, lambda s: s.state == "starting")
    monkeypatch.setattr(live_queue, "PATIENCE", 0.05)
    time.sleep(0.1)
    stage.let(1)
    assert run.wait(60) and run._end.result is None and line._runs == []


def test_those_who_stopped_looking_lose_their_place_until_they_are_back(stage, monkeypatch):
    line = TrainingQueue()
    first, second, third = (training(line, seed, visitor=f"v{seed}") for seed in range(3))
    running, waiting, last = first.follow(), second.follow(), third.follow()
    next(running)
    next(waiting)
    next(last)
    second._seen = time.monotonic() - live_queue.PATIENCE - 1
    assert next(last).ahead == 1
    assert next(waiting).ahead == 2  # at the end
    for snapshots in (waiting, last, running):
        snapshots.close()
    first.stop()
    stage.let(1)
    assert first.wait(60)


def test_a_run_ends_at_the_limit(stage):
    stage.let(STEPS)
    *_, last = training(TrainingQueue(), seconds=0.0).follow()
    assert last.state == "stopped" and last.step == 1 and last.result and "limit" in last.message


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux")
def test_a_run_gives_way_to_the_photos_of_others_and_they_to_nobody():
    def nice():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def course(*_):
        seen.append(nice())
        yield Snapshot("finished")

    seen = []
    before = nice()
    list(Training(RECIPE, pool(), 60.0, line=TrainingQueue(), borrow=course).follow())
    assert seen == [max(before, live.NICE)] and nice() == before


@pytest.mark.parametrize("error", [ValueError("lower --lr"), RuntimeError("CUDA\nout of memory")])
def test_a_failure_is_one_sentence_and_makes_room(monkeypatch, error):
    def fails(recipe, data):
        raise error
        yield

    monkeypatch.setattr(live_course, "train", fails)
    monkeypatch.setattr(live, "POLL", 0.01)
    line = TrainingQueue()
    *_, last = training(line).follow()
    assert last.state == "failed" and last.result is None and one_sentence(last.message) and line._runs == []
    assert ("lower --lr" in last.message) == isinstance(error, ValueError)


class Turned(nn.Module):
    """The first pixel of a crop as its embedding, turned by an angle."""

    def __init__(self, angle):
        super().__init__()
        self.turn = nn.Parameter(torch.tensor([[math.cos(angle), -math.sin(angle)],
                                               [math.sin(angle), math.cos(angle)]]))  # fmt: skip

    def forward(self, x):
        return x[:, :2, 0, 0] @ self.turn.T


def test_maps_of_one_run_lie_alike():
    rng = np.random.default_rng(0)
    crops = np.zeros((12, 112, 112, 3), np.uint8)
    crops[:, 0, 0] = rng.integers(0, 256, (12, 3))
    people = Selection(crops, np.arange(12), np.arange(12) // 4, tuple("abc"))
    first = flat_map(Turned(0.0), people, None)
    for angle in (0.5, 2.0, 3.1):
        again = flat_map(Turned(angle), people, first)
        np.testing.assert_allclose(again.coordinates, first.coordinates, atol=1e-4)
    assert isinstance(first, Map) and flat_map(Turned(0.0), people.take(np.arange(2)), None) is None


def test_rendered_crops_are_those_of_the_command_drawn_when_read():
    lazy, whole = rendered(3, 4, 5).data, ParametricFaces(3, 4, 5).crop_set()
    assert isinstance(lazy.crops, DrawnCrops) and lazy.crops.shape == whole.crops.shape
    assert not lazy.crops.drawn.any()
    for rows in (np.array([7, 2, 7]), np.arange(12)):
        assert (lazy.crops[rows] == whole.crops[rows]).all()
        assert lazy.crops.drawn[rows].all()
    assert (lazy.labels == whole.labels).all()
    assert (lazy.identities, lazy.names) == (whole.identities, whole.names)
    lazy.crops._faces = None  # nothing is drawn twice
    assert (lazy.crops[np.arange(12)] == whole.crops).all()


def test_a_zip_of_crops_is_what_load_crops_reads(crop_folder, tmp_path):
    archive = as_zip(crop_folder, tmp_path / "people.zip")
    found, wanted = from_photos(archive, 9), load_crops([archive])
    assert found.aligned and found.source == "people"
    assert (found.data.crops == wanted.crops).all() and (found.data.labels == wanted.labels).all()
    assert (found.data.identities, found.data.names) == (wanted.identities, wanted.names)
    found.forget()
    assert not found.data.crops.any()


def test_photos_are_aligned_and_failures_told(tmp_path, monkeypatch):
    monkeypatch.setattr(live_data, "find_faces", lambda photo: [] if photo.pixels.max() < 5 else ["face"])
    crop = np.full((112, 112, 3), 9, np.uint8)
    monkeypatch.setattr(
        live_data, "main_face", lambda faces, photo: found(crop) if faces else nobody("no face was found")
    )
    photo, dark = (encoded(Image.new("RGB", (200, 150), color), "PNG") for color in ("white", "black"))
    entries = {"a/1.png": photo, "a/2.png": CROP, "b/1.png": photo, "b/2.png": CROP, "b/3.png": dark}
    result = from_photos(zipped(tmp_path / "us.zip", entries), 9)
    assert not result.aligned and result.data.labels.tolist() == [0, 0, 1, 1]
    assert (result.data.crops[0] == 9).all() and result.data.skipped == (("b/3.png", "no face was found"),)


def found(crop):
    return type("Face", (), {"crop": crop})()


def nobody(words):
    raise ValueError(words)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"a/1.png": CROP, "a/2.png": CROP}, "one person only"),
        ({"a/1.png": CROP, "a/2.png": CROP, "b/": b""}, "empty folder \\(b\\)"),
        ({"a/1.txt": b"hello", "b/1.pdf": b"%PDF"}, "holds no image"),
        ({"a/1.png": b"no", "a/2.png": b"no", "b/1.png": b"no", "b/2.png": b"no"}, "nobody"),
        ({"a/1.png": CROP, "a/2.png": CROP, "b/1.png": CROP, "b/2.png": b"no"}, "b has 1 photo in"),
        ({"a/1.png": bytes(30_000_000)}, "unpacks a/1.png to 30,000,000 bytes"),
        ({"../a/1.png": CROP, "b/1.png": CROP}, "outside its own folder"),
        ({"1.png": CROP, "b/1.png": CROP}, "outside any identity folder"),
        ({f"{p}/{i}.png": CROP for p in "ab" for i in range(9)}, "at most 10"),
    ],
    ids=["one", "empty", "text", "broken", "few", "bomb", "traversal", "loose", "many"],
)
def test_a_bad_zip_gets_one_sentence(tmp_path, entries, words):
    archive = zipped(tmp_path / "bad.zip", entries, 8)
    with pytest.raises(ValueError, match=words) as caught:
        from_photos(archive, 10)
    assert one_sentence(str(caught.value), tmp_path)


def test_what_is_no_zip_gets_one_sentence(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK but no zip")
    with pytest.raises(ValueError, match="neither a folder nor a complete zip file") as caught:
        from_photos(tmp_path / "bad.zip", 10)
    assert one_sentence(str(caught.value), tmp_path)


def test_everything_on_offer_makes_a_recipe():
    assert len(networks()) == 12 and "softmax+triplet" in losses()
    for name in losses():
        recipe = compose(Choice(loss=name), HERE)
        assert (recipe.images_per_identity > 0) == (
            name.split("+")[-1] in ("contrastive", "triplet", "pairwise")
        )
    bare = compose(Choice(augment=False), HERE)
    assert not (
        bare.flip or bare.rotate or bare.zoom or bare.shift or bare.jitter or bare.gray or bare.random_erasing
    )


def test_limits_are_tighter_on_a_public_page(monkeypatch):
    for name in ("SPACE_ID", "HOST"):
        monkeypatch.delenv(name, raising=False)
    assert limits() == HERE
    for host, where, most in (
        ("127.0.0.1", "127.0.0.1", HERE),
        ("::1", "::1", HERE),
        ("a-machine", "127.0.0.1", HERE),  # as some shells set it
        ("0.0.0.0", "0.0.0.0", HOSTED),
        ("192.168.0.7", "192.168.0.7", HOSTED),
    ):
        monkeypatch.setenv("HOST", host)
        assert (host_address(), limits()) == (where, most)
    monkeypatch.delenv("HOST")
    monkeypatch.setenv("SPACE_ID", "somebody/facelab")
    assert limits() == HOSTED and HOSTED.seconds < HERE.seconds
    with pytest.raises(ValueError, match="epochs is 21; here a run takes 20"):
        compose(Choice(epochs=21), limits())
    with pytest.raises(ValueError, match="4,001 faces; here a run takes 4,000"):
        check_faces(4001, limits())
    with pytest.raises(ValueError, match="triplet takes no label smoothing"):
        compose(Choice(loss="triplet", label_smoothing=0.1), HERE)
