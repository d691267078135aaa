"""Errors among turned, dark, blurred and small faces, against faces and pairs whose condition is known."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facelab.cli.main import main
from facelab.evaluation.conditions import CONDITIONS, THIRDS, TITLES, conditions, judge_subsets, subset_rows
from facelab.photos.faces import Face

FRONT = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)
NOISE = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)


def measured(landmarks=FRONT, crop=NOISE):
    return dict(zip(CONDITIONS, conditions(Face(np.zeros(4, np.float32), landmarks, 1.0, crop))))


@pytest.mark.parametrize("shift", [-20, -6, 0, 10])
@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_a_turn_is_the_noses_way_along_the_eyes(shift, roll):
    points = FRONT + np.array([[0, 0], [0, 0], [shift, 9], [0, 0], [0, 0]], np.float32)
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    assert measured((points @ turn).astype(np.float32))["turned"] == pytest.approx(abs(shift) / 40, abs=1e-5)


def test_darker_and_softer_crops_are_worse():
    soft = np.asarray(Image.fromarray(NOISE).filter(ImageFilter.GaussianBlur(1.5)))
    plain, dark, blurred = measured(), measured(crop=NOISE // 2), measured(crop=soft)
    assert plain["dark"] == pytest.approx(-(NOISE @ [0.299, 0.587, 0.114]).mean(), rel=1e-4)
    assert dark["dark"] > plain["dark"] == pytest.approx(blurred["dark"], abs=1)
    assert blurred["blurred"] > dark["blurred"] > plain["blurred"]
    assert measured(crop=np.full_like(NOISE, 90))["blurred"] == pytest.approx(0)


def test_a_small_face_has_few_pixels_between_its_eyes():
    """However it is turned in the plane, and whatever its crop shows."""
    turn = np.array([[0, 1], [-1, 0]])
    assert measured()["small"] == pytest.approx(-40) == measured((FRONT @ turn).astype(np.float32))["small"]
    assert measured(FRONT / 2, NOISE // 2)["small"] == pytest.approx(-20)


def test_thirds_are_those_of_the_worse_photo():
    """Turned pairs score lower, whichever of the two photos it is; darkness has nothing to do with it."""
    rng = np.random.default_rng(1)
    same = np.arange(600) % 2 == 0
    first, second = rng.uniform(size=(2, 600, 4))
    worse = np.maximum(first, second)[:, 0]
    scores = np.where(same, 1.0, 0.8) - worse
    report = judge_subsets(scores, same, first, second, threshold=0.2)
    for kind, name, wrong in ((same, "refused", scores < 0.2), (~same, "accepted", scores >= 0.2)):
        order = np.argsort(worse[kind])
        expected = [part.mean() for part in np.array_split(wrong[kind][order], 3)]
        assert [report["turned"][third][name] for third in THIRDS] == pytest.approx(expected)
        assert np.ptp(expected) > 0.2 > np.ptp([report["dark"][third][name] for third in THIRDS])
    assert [report["blurred"][third]["genuine"] for third in THIRDS] == [100, 100, 100]
    name, rates = subset_rows(report)[0]
    assert name == "pose" and rates[3:] == [report["turned"][third]["accepted"] for third in THIRDS]


def test_too_few_pairs_are_refused():
    none = np.zeros((4, 4))
    with pytest.raises(ValueError, match="too few pairs for thirds"):
        judge_subsets(np.ones(4), np.array([True, True, True, False]), none, none, 0.5)


def test_a_list_of_rendered_photos_from_the_command(album, tiny_checkpoint, tmp_path, capsys):
    people = {name: sorted(album.glob(f"{name}/*.jpg")) for name in ("p0", "p1", "p2")}
    photos = {name: [f"{name}/{path.stem}" for path in paths] for name, paths in people.items()}
    rows = [(photos[p][0], photos[p][i], 1) for p in ("p1", "p2") for i in (0, 1)]
    rows += [(photos[a][0], photos[b][0], 0) for a, b in (("p0", "p1"), ("p0", "p2"), ("p1", "p2"))]
    file = tmp_path / "pairs.txt"
    file.write_text("".join(f"{a}\t{b}\t{label}\n" for a, b, label in rows))
    command = ["evaluate", str(tiny_checkpoint), "--images", str(album), "--pairs", str(file), "--subsets"]
    assert main([*command, "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14].strip() for line in lines[-4:]] == [TITLES[name] for name in CONDITIONS]
    assert lines[-5].split() == 2 * ["easiest", "middle", "hardest"]
    assert all(line.count("%") == 6 for line in lines[-4:])
    assert main([*command, "--jobs", "1", "--against", str(tiny_checkpoint)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"against {tiny_checkpoint} on the {len(rows)} pairs that both can score" in lines
    assert "EER           +0.0000  95%: +0.0000 to +0.0000" in lines
    for flags, words in (
        ([*command, "--aligned"], "without --aligned"),
        ([*command[:4], "--identify", "--subsets"], "needs the photos of a list"),
        ([*command[:4], "--identify", "--against", "reference"], "--against compares two models"),
    ):
        assert main(flags) != 0
        assert words in capsys.readouterr().err
