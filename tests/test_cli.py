"""The command line: exact JSON, one sentence on stderr and status 2 for bad input, help that can be read."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import encoded, one_sentence
from PIL import Image

from facelab import checkpoint, cli, cli_train, embedder, terminal
from facelab.cli import COMMANDS, main
from facelab.data.parametric import ParametricFaces

ROOT = Path(__file__).parents[1]
COMPARE = ["model", "score", "threshold", "far", "frr", "same", "probability_same", "calibration", "faces"]


@pytest.fixture(autouse=True)
def own_cache_and_models(tmp_path, tiny_checkpoint, monkeypatch):
    """Commands find the tiny checkpoint by the name `tiny`, and keep nothing outside the test's folder."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "tiny.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    for module in (cli, cli_train):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(embedder, "CHECKPOINTS", models)


@pytest.fixture
def photos(album) -> list[str]:
    return [str(album / "p1" / "p1_0001.jpg"), str(album / "p1" / "p1_0002.jpg")]


def refused(capsys, *argv: object) -> str:
    """The one sentence on stderr of a command that must end with status 2 and say nothing on stdout."""
    assert main([str(arg) for arg in argv]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("facelab: ") and err.endswith("\n") and one_sentence(err), err
    return err.removeprefix("facelab: ").strip()


# compare


def test_compare_prints_the_json_of_the_api(capsys, photos):
    assert main(["compare", *photos, "--model", "tiny", "--far", "0.01", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert list(result) == COMPARE and not err
    assert result["model"] == "tiny" and result["far"] == 0.01
    assert result["same"] is (result["score"] >= result["threshold"])
    assert [set(face) for face in result["faces"]] == [{"found", "box", "landmarks", "confidence"}] * 2
    assert np.shape(result["faces"][0]["landmarks"]) == (5, 2) and len(result["faces"][0]["box"]) == 4


@pytest.mark.parametrize("far", ["0.1", "0.001"])
def test_compare_says_in_words_what_it_says_in_json(far, capsys, photos):
    assert main(["compare", *photos, "--model", "tiny", "--far", far, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert main(["compare", *photos, "--model", "tiny", "--far", far]) == 0
    out = capsys.readouterr().out
    verdict, sign = ("same person", ">=") if result["same"] else ("different people", "<")
    assert out.startswith(
        f"{verdict}: score {result['score']:.3f} {sign} threshold {result['threshold']:.3f}"
    )
    assert f"1 in {1 / float(far):,.0f} pairs" in out and f"{result['frr']:.1%}" in out
    assert f"{result['probability_same']:.1%}" in out and "measured on normal draws" in out


def test_a_verdict_of_different_people_is_a_result_and_no_error(capsys, photos, monkeypatch):
    monkeypatch.setattr(cli, "compare_photos", lambda *args: {
        "model": "m", "score": 0.1, "threshold": 0.5, "far": 0.01, "frr": 0.2, "same": False,
        "probability_same": 0.1, "calibration": "c", "faces": [{"found": 3}, {"found": 1}]})  # fmt: skip
    assert main(["compare", *photos]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("different people: score 0.100 < threshold 0.500 (m)")
    assert err == "photo A shows 3 faces; --face-a chooses another\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--far", "nan"], "the false-accept rate is nan; it must lie between"),
        (["--far", "0"], "the false-accept rate is 0.0; it must lie between"),
        (["--far", "0.5"], "the false-accept rate is 0.5; it must lie between"),
        (["--far", "-0.01"], "the false-accept rate is -0.01; it must lie between"),
        (["--far", "inf"], "the false-accept rate is inf; it must lie between"),
        (["--far", "low"], "--far: could not convert string to float: 'low'"),
        (["--model", "tinny"], "there is no model 'tinny': did you mean tiny?"),
        (["--model", ""], "there is no model ''"),
        (["--face-a", "2"], "Photo A has 1 face(s); there is no face 2"),
        (["--face-b", "0"], "Photo B has 1 face(s); there is no face 0"),
        (["--fra", "0.1"], "--fra"),
        (["third.jpg"], "third.jpg"),
    ],
    ids=str,
)
def test_compare_refuses_a_bad_flag(flags, words, capsys, photos):
    defaults = [] if "--model" in flags else ["--model", "tiny"]
    defaults += [] if "--far" in flags else ["--far", "0.01"]
    assert words in refused(capsys, "compare", *photos, *defaults, *flags)


def test_compare_refuses_one_photo_and_says_which_is_missing(capsys, photos):
    for argv in ([], photos[:1]):
        sentence = refused(capsys, "compare", *argv)
        assert sentence.startswith("Missing from python -m facelab compare: PHOTO "), sentence
        assert sentence.endswith("; `python -m facelab compare --help` explains")
    assert "Second photo" in sentence


def bad_photos(tmp_path: Path) -> dict[str, tuple[bytes, str]]:
    jpeg = encoded(Image.effect_noise((300, 300), 60), "JPEG")
    return {
        "empty.jpg": (b"", "is empty; choose a JPEG or PNG photo"),
        "text.jpg": (b"text\n" * 20, "is not a photo that can be read; save it as JPEG, PNG or WebP"),
        "short.jpg": (jpeg[: len(jpeg) // 2], "is damaged or cut short; export or download it again"),
        "one.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), "only 1x1 pixels; use one in which"),
        "plot.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "save it as JPEG"),
        "wall.png": (encoded(Image.new("RGB", (300, 200), "tan"), "PNG"), "no face was found; use a sharper"),
    }


@pytest.mark.parametrize("name", [*bad_photos(Path()), "missing.jpg", "."])
def test_compare_answers_a_bad_photo_in_one_sentence(name, capsys, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, words = bad_photos(tmp_path).get(
        name, (None, "is a folder" if name == "." else "does not exist")
    )
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for letter, pair in (("A", [name, photos[0]]), ("B", [photos[0], tmp_path / name])):
        sentence = refused(capsys, "compare", *pair, "--model", "tiny", "--far", "0.01")
        assert sentence.startswith(f"Photo {letter}: ") and words in sentence
        assert str(tmp_path) not in sentence


# evaluate, calibrate


@pytest.fixture
def pairs(tmp_path) -> str:
    rows = [
        "p1/p1_0001 p1/p1_0002 1",
        "p1/p1_0001 p2/p2_0001 0",
        "p2/p2_0001 p2/p2_0002 1",
        "p0/p0_0004 p1/p1_0001 0",
    ]
    (tmp_path / "pairs.txt").write_text("\n".join(rows) + "\n")
    return str(tmp_path / "pairs.txt")


def test_evaluate_prints_exactly_the_agreed_keys_and_lists_failures(capsys, album, pairs):
    assert main(["evaluate", "tiny", "--images", str(album), "--pairs", pairs, "--jobs", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert set(report) == {
        "accuracy", "accuracy_std", "accuracy_all", "eer", "auc", "tar_at_far", "pairs", "skipped",
    }  # fmt: skip
    assert list(report["tar_at_far"]) == ["0.1", "0.01", "0.001"]
    assert (report["pairs"], report["skipped"]) == (4, 1)
    assert err.startswith("p0/p0_0004.jpg: no face was found")
    assert main(["evaluate", "tiny", "--images", str(album), "--pairs", pairs, "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "4 pairs, 1 skipped because 1 photos show no face" in out
    assert (
        f"accuracy_all  {report['accuracy_all']:.4f}" in out
        and f"TAR@FAR=0.01  {report['tar_at_far']['0.01']:.4f}" in out
    )


def test_evaluate_saves_its_figures_in_the_header(capsys, album, pairs):
    argv = ["evaluate", "tiny", "--images", str(album), "--pairs", pairs, "--jobs", "1", "--json"]
    assert main([*argv, "--save", "four_pairs"]) == 0
    report = json.loads(capsys.readouterr().out)
    header = checkpoint.describe(embedder.find_checkpoint("tiny"))
    assert header.metrics["four_pairs"] == report
    assert header.metrics["held_out"] == {"eer": 0.25} and header.operating_points is not None


def test_evaluate_refuses_what_it_cannot_do(capsys, album, pairs, tmp_path):
    (tmp_path / "bad.txt").write_text("a b 1\na b maybe\n")
    (tmp_path / "text.zip").write_text("no zip")
    images = ["--images", album, "--jobs", 1]
    for argv, words in (
        (["tiny", *images, "--pairs", tmp_path / "bad.txt"], "bad.txt, line 2: expected"),
        (["tiny", *images, "--pairs", tmp_path / "missing.txt"], "missing.txt does not exist"),
        (
            ["tiny", "--images", tmp_path / "missing", "--pairs", pairs],
            "does not exist; give a folder or a zip",
        ),
        (["tiny", "--images", tmp_path / "text.zip", "--pairs", pairs], "neither a folder nor a whole zip"),
        (["tinny", *images, "--pairs", pairs], "did you mean tiny?"),
        (["reference", *images, "--pairs", pairs, "--save", "x"], "the reference has none; leave it out"),
        (["tiny", "--images", album, "--jobs", "0", "--pairs", pairs], "--jobs is 0"),
        (["tiny"], "--images"),
    ):
        assert words in refused(capsys, "evaluate", *argv)


def test_calibrate_writes_thresholds_that_compare_then_uses(capsys, tmp_path, photos):
    crops, labels = ParametricFaces(8, 6, seed=5).rows(torch.arange(48))
    for i, (crop, label) in enumerate(zip(np.asarray(crops), np.asarray(labels))):
        (tmp_path / "faces" / f"p{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(tmp_path / "faces" / f"p{label}" / f"{i}.png")
    (tmp_path / "people.txt").write_text("6\n" + "".join(f"p{i}\t6\n" for i in range(6)))
    argv = ["calibrate", "tiny", "--images", str(tmp_path / "faces"), "--aligned", "--jobs", "1"]
    assert main([*argv, "--people", str(tmp_path / "people.txt"), "--title", "six people"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiny on six people: 6 people, 36 photos: EER 0.") and "FAR 0.1" in out
    points = checkpoint.describe(embedder.find_checkpoint("tiny")).operating_points
    assert points.genuine_pairs == 6 * 15 and points.impostor_pairs == 15 * 36
    assert main(["compare", *photos, "--model", "tiny", "--far", "0.05", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["threshold"] == points.threshold_for(0.05) and result["calibration"] == points.source
    assert "it must lie between" in refused(capsys, "compare", *photos, "--model", "tiny", "--far", "0.001")
    assert "does not exist" in refused(capsys, *argv, "--people", tmp_path / "missing.txt")


# prepare, train, models


def test_prepare_ends_with_what_failed_and_why(capsys, album, tmp_path):
    argv = ["prepare", str(album), str(tmp_path / "out"), "--jobs", "1"]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "12 crops written, 0 were there, 1 failed"
    assert re.fullmatch(r"p0/p0_0004\.jpg  no face was found; .*", lines[1])
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("0 crops written, 12 were there, 1 failed")
    assert "does not exist" in refused(capsys, "prepare", tmp_path / "nowhere", tmp_path / "out")
    assert "choose another" in refused(capsys, "prepare", album, album / "out")


@pytest.fixture
def training_crops(tmp_path) -> Path:
    crops, labels = ParametricFaces(6, 4, seed=2).rows(torch.arange(24))
    for i, (crop, label) in enumerate(zip(np.asarray(crops), np.asarray(labels))):
        (tmp_path / "people" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(tmp_path / "people" / str(label) / f"{i}.png")
    return tmp_path / "people"


def test_train_takes_any_field_and_writes_a_checkpoint_of_it(capsys, training_crops, tmp_path):
    out = tmp_path / "mine.safetensors"
    fields = ["--epochs", "2", "--batch-size", "8", "--embedding-dim", "8", "--neck", "pool", "--seed", "3",
              "--held-out", "0.34", "--precision", "fp32"]  # fmt: skip
    argv = ["train", "resnet_softmax", *fields, "--data", str(training_crops), "--out", str(out), "--json"]
    assert main(argv) == 0
    printed, err = capsys.readouterr()
    epochs = [json.loads(line) for line in printed.splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert all({"loss", "accuracy", "eer", "auc"} <= set(epoch) for epoch in epochs)
    header = checkpoint.describe(out)
    recipe = header.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.embedding_dim, recipe.neck, recipe.seed) == (
        2,
        8,
        8,
        "pool",
        3,
    )
    assert header.num_classes == 4 and header.data == "people: 4 identities, 16 crops"
    assert header.metrics["held_out"]["eer"] == pytest.approx(epochs[-1]["eer"])
    assert "no thresholds were set: 12 genuine and 16 impostor pairs are too few" in err
    assert err.endswith(f"wrote {out}\n")


def test_json_of_a_loss_without_accuracy_is_still_json(capsys):
    from types import SimpleNamespace

    progress = SimpleNamespace(epoch=1, loss=0.5, accuracy=float("nan"), validation={"eer": 0.5})
    cli_train._report_epoch(progress, True)
    assert json.loads(capsys.readouterr().out) == {"epoch": 1, "loss": 0.5, "accuracy": None, "eer": 0.5}


def test_train_refuses_what_it_cannot_do(capsys, training_crops, tmp_path):
    out = ["--out", tmp_path / "a.safetensors"]
    for argv, words in (
        (["resnet_softmx"], "unknown recipe 'resnet_softmx': did you mean resnet_softmax?"),
        (["resnet_softmax"], "Missing from python -m facelab train resnet_softmax: --out"),
        (["resnet_softmax", "--out", "a.pt", "--data", training_crops], "it must end in .safetensors"),
        (["resnet_softmax", *out], "no data was given"),
        (["resnet_softmax", *out, "--data", tmp_path / "none"], "does not exist; give a folder or a zip"),
        (["resnet_softmax", *out, "--data", training_crops, "--epochs", "0"], "epochs is 0; it must lie in"),
        (["resnet_softmax", *out, "--data", training_crops, "--epochs", "few"], "--epochs"),
        (["resnet_softmax", *out, "--data", training_crops, "--held-out", "0.9"], "too few to hold out"),
        (
            ["resnet_softmax", *out, "--data", training_crops, "--backbone", "resnet81"],
            "did you mean resnet18?",
        ),
    ):
        assert words in refused(capsys, "train", *argv)
    assert not (tmp_path / "a.safetensors").exists()


def test_models_lists_what_is_here_and_survives_a_damaged_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.reference, "is_installed", lambda: True)
    (tmp_path / "models" / "broken.safetensors").write_bytes(b"broken")
    assert main(["models", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert [row["model"] for row in rows] == ["tiny", "reference"]
    assert rows[0]["recipe"]["backbone"] == "resnet_face" and rows[0]["num_classes"] == 4
    assert rows[0]["metrics"] == {"held_out": {"eer": 0.25}}
    assert err.startswith("facelab: broken.safetensors is no whole") and one_sentence(err, tmp_path)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1 and "tiny" in lines[1] and "reference" in lines[2]


# Help and errors of the whole


def test_without_arguments_every_command_is_explained_in_a_line(capsys):
    for argv in ([], ["--help"], ["-h"]):
        assert main(argv) == 0
        out, err = capsys.readouterr()
        assert out.startswith("usage: python -m facelab COMMAND") and not err
        for name, command in COMMANDS.items():
            assert re.search(rf"^  {name} +\S.*\.|\?$", out, re.MULTILINE)
            assert command.__doc__.splitlines()[0] in out


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_help_explains_every_argument_of_a_command(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert not stop.value.code
    out, err = capsys.readouterr()
    assert not err and out.startswith(f"usage: python -m facelab {name}")
    words = re.sub(r"[│─\s]+", " ", out)
    assert COMMANDS[name].__doc__.splitlines()[0] in words
    parameters = inspect.signature(COMMANDS[name]).parameters.values()
    described = dict(re.findall(r"^ {8}(\w+): (.+?)$", COMMANDS[name].__doc__, re.MULTILINE))
    assert set(described) == {p.name for p in parameters}
    for parameter in parameters:
        assert " ".join(described[parameter.name].split()[:4]) in words
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            assert f" --{parameter.name.replace('_', '-')} " in words
    assert "STR STR" not in words  # positional arguments are called by what they are


def test_help_of_train_shows_recipes_and_then_every_field(capsys):
    assert main(["train"]) == main(["train", "--help"]) == 0
    assert "resnet_softmax" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["train", "resnet_softmax", "--help"])
    assert not stop.value.code
    out = capsys.readouterr().out
    for field in ("--epochs", "--lr", "--label-smoothing", "--held-out", "--data", "--out"):
        assert field in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["compair"], "unknown command 'compair': did you mean compare?"),
        (["--json"], "unknown command '--json'"),
    ],
)
def test_an_unknown_command_is_answered_with_the_nearest(argv, words, capsys):
    assert words in refused(capsys, *argv)


def test_errors_of_the_system_become_sentences():
    assert (
        terminal.one_sentence(OSError(28, "No space left on device", "a.npy"))
        == "No space left on device: a.npy"
    )
    assert terminal.one_sentence(OSError("disk on\n  fire")) == "disk on fire"
    assert terminal.one_sentence(ValueError("two\nlines")) == "two lines"


def test_an_interrupt_ends_quietly(capsys, photos, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "compare_photos", interrupt)
    assert main(["compare", *photos]) == 130
    assert capsys.readouterr().err == "facelab: stopped\n"


# As a process


def run(*argv: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "facelab", *argv], cwd=ROOT, capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_missing_photo_is_one_sentence_whatever_the_terminal_can_draw(encoding):
    done = run("compare", "a.jpg", env=os.environ | {"PYTHONIOENCODING": encoding})
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == (
        "facelab: Missing from python -m facelab compare: PHOTO Second photo; "
        "`python -m facelab compare --help` explains\n"
    )


def test_python_m_facelab_without_arguments_teaches(tmp_path):
    done = run()
    assert (done.returncode, done.stderr) == (0, "") and "compare" in done.stdout


def test_a_png_is_read_by_a_fresh_process_too(album, tmp_path, tiny_checkpoint):
    """Pillow knows WebP only after its plug-ins are loaded, which other libraries may have done."""
    with Image.open(album / "p1" / "p1_0001.jpg") as image:
        image.save(tmp_path / "a.png")
        image.save(tmp_path / "b.webp")
    done = run(
        "compare",
        str(tmp_path / "a.png"),
        str(tmp_path / "b.webp"),
        "--model",
        str(tiny_checkpoint),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"] > 0.9


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m facelab train | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "0" and done.stderr == ""
