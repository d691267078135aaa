"""The command line: exact JSON, one sentence on stderr and status 2 for bad input, help that can be read."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.cli import compare as cli_compare
from facelab.cli import models as cli_models
from facelab.cli.main import main
from facelab.data.parametric import ParametricFaces
from facelab.models import checkpoint, zoo
from tests.conftest import encoded, one_sentence, refused

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("own_cache_and_models")
COMPARE = ["model", "score", "threshold", "far", "frr", "same", "probability_same", "calibration"]
COMPARE += ["faces", "warnings"]


# compare


def test_compare_prints_the_json_of_the_api(capsys, photos):
    assert main(["compare", *photos, "--model", "tiny", "--far", "0.01", "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert list(result) == COMPARE and not err
    assert result["model"] == "tiny" and result["far"] == 0.01
    assert result["same"] is (result["score"] >= result["threshold"])
    keys = {"found", "face", "main", "box", "landmarks", "confidence"}
    assert [set(face) for face in result["faces"]] == [keys] * 2
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
    assert f"1 in {1 / float(far):,.0f} impostor pairs" in out and f"{result['frr']:.1%}" in out
    assert f"{result['probability_same']:.1%}" in out and "measured on normal draws" in out


def test_a_verdict_of_different_people_is_a_result_and_no_error(capsys, photos, monkeypatch):
    faces = [{"found": 3, "face": 2, "main": True}, {"found": 1}]
    answer = {"model": "m", "score": 0.1, "threshold": 0.5, "far": 0.01, "frr": 0.2, "same": False}
    answer |= {"probability_same": 0.1, "calibration": "c", "faces": faces}
    monkeypatch.setattr(cli_compare, "compare_photos", lambda *args: answer)
    assert main(["compare", *photos]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("different people: score 0.100 < threshold 0.500 (m)")
    assert err == "photo A shows 3 faces; face 2 is used, the main one, and --face-a chooses another\n"


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
        "self_pairs", "repeated_pairs", "contradicting_pairs",
    }  # fmt: skip
    assert report["tar_at_far"] == {}  # of four pairs
    assert (report["pairs"], report["skipped"]) == (4, 1)
    assert err.startswith("device: cpu (") and "\np0/p0_0004.jpg: no face was found" in err
    assert main(["evaluate", "tiny", "--images", str(album), "--pairs", pairs, "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "4 pairs, 1 skipped because 1 photos show no face or cannot be read" in out
    assert (
        f"accuracy_all  {report['accuracy_all']:.4f}" in out
        and "TAR@FAR=0.1 is left out: it needs 10 impostor pairs or more" in out
    )


def test_evaluate_saves_its_figures_in_the_header(capsys, album, pairs):
    argv = ["evaluate", "tiny", "--images", str(album), "--pairs", pairs, "--jobs", "1", "--json"]
    assert main([*argv, "--save", "four_pairs"]) == 0
    report = json.loads(capsys.readouterr().out)
    header = checkpoint.describe(zoo.find_checkpoint("tiny"))
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
        (
            ["tiny", "--images", tmp_path / "text.zip", "--pairs", pairs],
            "neither a folder nor a complete zip file",
        ),
        (["tinny", *images, "--pairs", pairs], "did you mean tiny?"),
        (["reference", *images, "--pairs", pairs, "--save", "x"], "the reference has none; leave it out"),
        (["tiny"], "--images"),
    ):
        assert words in refused(capsys, "evaluate", *argv)
    none = ["tiny", "--images", album, "--jobs", "0", "--pairs", pairs]
    assert "--jobs is 0" in refused(capsys, "evaluate", *none, begun=True)


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
    points = checkpoint.describe(zoo.find_checkpoint("tiny")).operating_points
    assert points.genuine_pairs == 6 * 15 and points.impostor_pairs == 15 * 36
    assert main(["compare", *photos, "--model", "tiny", "--far", "0.05", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["threshold"] == points.threshold_for(0.05) and result["calibration"] == points.source
    assert "it must lie between" in refused(capsys, "compare", *photos, "--model", "tiny", "--far", "0.001")
    assert "does not exist" in refused(capsys, *argv, "--people", tmp_path / "missing.txt")


# models


def test_models_lists_what_is_here_and_survives_a_damaged_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli_models.reference, "is_installed", lambda: True)
    (tmp_path / "models" / "broken.safetensors").write_bytes(b"broken")
    assert main(["models", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert [row["model"] for row in rows] == ["tiny", "reference"]
    assert rows[0]["recipe"]["backbone"] == "resnet_face" and rows[0]["num_classes"] == 4
    assert rows[0]["metrics"] == {"held_out": {"eer": 0.25}}
    assert err.startswith("facelab: broken.safetensors is not a complete") and one_sentence(err, tmp_path)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1 and "tiny" in lines[1] and "reference" in lines[2]
