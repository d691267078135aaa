"""Flags of the commands reach the function that does the work, each as the argument that it is meant for."""

import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from facelab.cli import lessons
from facelab.cli.main import main
from facelab.data.folders import CropSet
from facelab.lessons.live.settings import Choice

pytestmark = pytest.mark.usefixtures("own_cache_and_models")
CASES = {
    "compare": (
        "compare a.jpg b.jpg --model tiny --far 0.02 --face-a 2 --face-b 3",
        "cli.compare.compare_photos",
        {"a": "a.jpg", "b": "b.jpg", "model": "tiny", "far": 0.02, "face_a": 1, "face_b": 2},
    ),
    "a list of pairs": (
        "evaluate tiny --images photos --pairs list.txt --intervals --subsets --against other --groups g.csv "
        "--no-flip --jobs 3",
        "cli.evaluate.evaluate_model",
        {"images": "photos", "pairs_file": "list.txt", "aligned": False, "jobs": 3, "flip": False,
         "intervals": True, "subsets": True, "against": "other", "groups": "g.csv"},
    ),
    "a list without flags": (
        "evaluate tiny --images photos --pairs list.txt --aligned",
        "cli.evaluate.evaluate_model",
        {"aligned": True, "flip": True, "intervals": False, "subsets": False, "against": None},
    ),
    "embeddings of a list": (
        "evaluate --embeddings e.npz --pairs list.txt --intervals --against f.npz --groups g.csv",
        "cli.evaluate.evaluate_embeddings",
        {"file": "e.npz", "pairs_file": "list.txt", "intervals": True, "against": "f.npz", "groups": "g.csv"},
    ),
    "all pairs": (
        "evaluate tiny --images photos --all-pairs --aligned --no-flip --jobs 3",
        "cli.evaluate.embed_folder",
        {"model": "tiny", "images": "photos", "aligned": True, "jobs": 3, "flip": False},
    ),
    "packed pairs": (
        "evaluate tiny --bin lfw.bin --no-flip --intervals",
        "cli.evaluate.evaluate_packed",
        {"model": "tiny", "path": "lfw.bin", "flip": False, "intervals": True},
    ),
    "templates": (
        "evaluate tiny --images photos --templates lists --aligned --no-flip --jobs 3",
        "cli.evaluate.evaluate_templates",
        {"images": "photos", "protocol": "lists", "aligned": True, "jobs": 3, "flip": False},
    ),
    "calibrate": (
        "calibrate tiny --images photos --title mine --aligned --jobs 3",
        "cli.evaluate.calibrate_model",
        {"model": "tiny", "images": "photos", "title": "mine", "aligned": True, "jobs": 3},
    ),
    "prepare": (
        "data prepare photos crops --jobs 3 --shard 2/8",
        "cli.data.prepare_photos",
        {"source": "photos", "out": "crops", "jobs": 3, "shard": (2, 8)},
    ),
    "export one view": (
        "export tiny --onnx a.onnx --no-flip",
        "cli.export.export_onnx",
        {"flip": False, "normalize": True},
    ),
    "export of any length": (
        "export tiny --onnx a.onnx --no-normalize",
        "cli.export.export_onnx",
        {"flip": True, "normalize": False},
    ),
    "embed": (
        "embed tiny {crops} e.npz --aligned --jobs 3",
        "cli.data.embed_images",
        {"model": "tiny", "aligned": True, "jobs": 3},
    ),
    "enroll": (
        "gallery build people {crops} --model tiny --aligned --jobs 3",
        "cli.gallery.embed_images",
        {"model": "tiny", "aligned": True, "jobs": 3},
    ),
    "a new gallery": (
        "gallery build people {crops} --model tiny --kind int8",
        "cli.gallery._created",
        {"name": "people", "model": "tiny", "kind": "int8"},
    ),
    "group": (
        "group {crops} --model tiny --aligned --jobs 3",
        "cli.gallery.embed_images",
        {"model": "tiny", "aligned": True, "jobs": 3},
    ),
    "rendered faces": (
        "train resnet_softmax --identities 6 --per-identity 2 --seed 3 --out a.safetensors",
        "cli.train.ParametricFaces",
        {"identities": 6, "per_identity": 2, "seed": 3},
    ),
    "the device of a run": (
        "train resnet_softmax --identities 6 --per-identity 2 --device cpu --out a.safetensors",
        "cli.train.train_recipe",
        {"device": "cpu", "shard": False},
    ),
    "repeatable": (
        "train resnet_softmax --identities 6 --per-identity 2 --deterministic --out a.safetensors",
        "cli.train.be_deterministic",
        {},
    ),
    "zoo": (
        "zoo /out --data /crops --images /photos --pairs /list --people /names --jobs 3 --compile",
        "evaluation.reproduce.Zoo",
        {"out": Path("/out"), "data": (Path("/crops"),), "images": Path("/photos"), "pairs": Path("/list"),
         "people": Path("/names"), "jobs": 3, "compile": True},
    ),
    "the settings of a log": (
        "doctor run.csv --loss arcface --classes 9 --margin 0.4 --scale 30 --margin-warmup 7 "
        "--pair-margin 0.2 --optimizer sgd --pretrained",
        "cli.doctor.Settings",
        {"loss": "arcface", "classes": 9, "margin": 0.4, "scale": 30, "margin_warmup": 7,
         "pair_margin": 0.2, "optimizer": "sgd", "pretrained": True},
    ),
    "push": (
        "push tiny me/faces --private", "models.hub.push", {"repository": "me/faces", "private": True}
    ),
    "submit": (
        "submit tiny homework --out files --sample s.csv --partial",
        "cli.submit.submit_homework",
        {"model": "tiny", "root": "homework", "out": "files", "sample": "s.csv", "partial": True},
    ),
}  # fmt: skip
LESSONS = {
    "space": ("tiny --data crops", "lessons.space.measure", {"model": "tiny"}),
    "epochs": ("--data crops --start face", "lessons.epochs.ten_people", {"start": "face"}),
    "calibration": ("tiny --data crops", "lessons.calibration.measure", {"model": "tiny"}),
    "transfer": (
        "--data crops --start face --seeds 5",
        "lessons.transfer.measure",
        {"face": "face", "seeds": 5},
    ),
    "train": ("--seed 4", "lessons.live.shipped_run.measure", {"choice": Choice(seed=4)}),
    "collapse": ("--seeds 5", "lessons.triplet_collapse.count_collapses", {"seeds": 5}),
}


def arguments(words, place, monkeypatch):
    """Run a command until it calls a function -> the function's arguments by name."""
    module, _, name = f"facelab.{place}".rpartition(".")
    real, seen = inspect.signature(getattr(import_module(module), name)), []

    def called(*given, **named):
        seen.append(real.bind(*given, **named).arguments)
        raise ValueError("that is enough")

    monkeypatch.setattr(f"{module}.{name}", called)
    assert main(words) == 2
    return seen[0]


@pytest.mark.parametrize("case", CASES)
def test_flags_reach_the_function_that_does_the_work(case, crop_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words, place, expected = CASES[case]
    found = arguments(words.format(crops=crop_folder).split(), place, monkeypatch)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("lesson", LESSONS)
def test_flags_reach_the_measurement_of_a_lesson(lesson, monkeypatch):
    words, place, expected = LESSONS[lesson]
    nobody = CropSet(None, np.zeros(0, np.int64), (), ())
    monkeypatch.setattr(lessons, "load_crops", lambda sources, *_: nobody)
    found = arguments(["lessons", lesson, *words.split()], place, monkeypatch)
    assert {key: found[key] for key in expected} == expected
