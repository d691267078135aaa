"""Parametric faces: identity and nuisance are known numbers, so what a picture must do can be asserted."""

import numpy as np
import pytest
import torch

from facelab.data import parametric
from facelab.data.parametric import (
    IDENTITY,
    NUISANCE,
    ParametricFaces,
    crop_landmarks,
    crops,
    landmarks,
    relative,
    render,
    sample_identities,
    sample_nuisances,
    typical,
    with_values,
)
from facelab.data.parametric.head import TEMPLATE
from facelab.data.parametric.table import bounds, normals


def neutral(n: int, changes: dict | None = None) -> torch.Tensor:
    return with_values(typical(NUISANCE, n), NUISANCE, changes or {})


def head(n: int, changes: dict | None = None) -> torch.Tensor:
    return with_values(typical(IDENTITY, n), IDENTITY, changes or {})


def scores(identity: torch.Tensor) -> torch.Tensor:
    """Normal scores behind a draw of people."""
    low, high, middle, spread = bounds(IDENTITY)
    offset = torch.logit((middle - low) / (high - low))
    return (torch.logit((identity.double() - low) / (high - low)) - offset) / spread


# --- the tables and the draw -------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [IDENTITY, NUISANCE], ids=["identity", "nuisance"])
def test_tables_are_sound(table):
    for name, p in table.items():
        assert p.low < p.high and p.low <= p.middle <= p.high and p.spread > 0.0, name
        assert p.meaning.endswith("."), name


def test_a_larger_draw_starts_with_the_smaller_one():
    assert torch.equal(sample_identities(40, 3)[:7], sample_identities(7, 3))
    assert torch.equal(sample_nuisances(40, 3, 0.7)[:7], sample_nuisances(7, 3, 0.7))
    assert not torch.equal(sample_identities(7, 3), sample_identities(7, 4))


def test_draws_are_normal_and_columns_are_independent():
    z = normals(torch.arange(4000), 12, 5)
    assert z.mean(0).abs().max() < 0.06 and (z.std(0) - 1.0).abs().max() < 0.05
    correlation = torch.corrcoef(z.T) - torch.eye(12)
    assert correlation.abs().max() < 0.07
    drawn = scores(sample_identities(2000, 9))
    assert drawn.mean(0).abs().max() < 0.1 and (drawn.std(0) - 1.0).abs().max() < 0.1


def test_difficulty_zero_is_the_neutral_portrait_and_spread_grows_with_it():
    assert torch.equal(sample_nuisances(5, 1, 0.0), typical(NUISANCE, 5))
    yaw = [sample_nuisances(2000, 1, d)[:, 0].std() for d in (0.25, 0.5)]
    assert yaw[1] / yaw[0] == pytest.approx(2.0, rel=0.05)
    assert yaw[1] == pytest.approx(NUISANCE["yaw"].spread, rel=0.08)
    low, high, _, _ = bounds(NUISANCE)
    hard = sample_nuisances(2000, 1, 1.0).double()
    assert (hard >= low - 1e-6).all() and (hard <= high + 1e-6).all()


def test_conditions_do_not_tell_who_it_is():
    data = ParametricFaces(200, 10, seed=1)
    _, conditions = data.parameters(torch.arange(len(data)))
    grouped = conditions.double().reshape(200, 10, -1)
    between = grouped.mean(1).var(0) / conditions.double().var(0)  # 1 / per_identity if independent
    assert (between - 0.1).abs().max() < 0.05


def test_relatives_keep_the_distribution_and_drift_away_steadily():
    people = sample_identities(400, 2)
    assert torch.equal(relative(people, 0.0, 7), people)
    origin, distances = scores(people), []
    for distance in (0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
        moved = scores(relative(people, distance, 7))
        distances.append((moved - origin).norm(dim=1).mean().item())
        assert (moved.std(0) - 1.0).abs().max() < 0.2
    assert distances == sorted(distances)
    cosine = torch.nn.functional.cosine_similarity(origin, scores(relative(people, 1.0, 7))).mean()
    assert abs(cosine) < 0.05
    half = torch.nn.functional.cosine_similarity(origin, scores(relative(people, 0.5, 7))).mean()
    assert half == pytest.approx(0.5**0.5, abs=0.05)


# --- refusals ----------------------------------------------------------------------------------------------


def test_out_of_range_is_refused_by_name_with_the_legal_range():
    bad = typical(NUISANCE, 3)
    bad[1, list(NUISANCE).index("yaw")] = 60.0
    with pytest.raises(ValueError, match=r"yaw is 60 in row 1; legal values are -45 to 45"):
        render(head(3), bad, 64)
    with pytest.raises(ValueError, match=r"skin_tone is 2 .* 0 to 1"):
        head(1, {"skin_tone": 2.0})
    with pytest.raises(ValueError, match="beard is nan"):
        head(1, {"beard": float("nan")})
    with pytest.raises(ValueError, match=r"unknown parameter 'nose'; legal names are head_width, .*"):
        head(1, {"nose": 1.0})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: render(head(1), neutral(1), 32), "size is 32; legal values are 64 to 512"),
        (lambda: landmarks(head(1), neutral(1), 513), "size is 513"),
        (lambda: render(head(2), neutral(3), 64), "2 identities and 3 nuisances"),
        (lambda: render(head(2)[:, 1:], neutral(2), 64), r"expected shape \(B, "),
        (lambda: sample_nuisances(1, 0, 1.5), "difficulty is 1.5; legal values are 0 to 1"),
        (lambda: relative(head(1), -0.1, 0), "distance is -0.1; legal values are 0 to 1"),
        (lambda: ParametricFaces(0, 1, 0), "identities is 0; legal values are 1 or more"),
        (lambda: ParametricFaces(1, 1, 0, first=-1), "first is -1; legal values are 0 or more"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- the same pixels, always -------------------------------------------------------------------------------


def test_a_face_has_the_same_pixels_alone_in_a_batch_and_with_two_threads():
    people, conditions = sample_identities(14, 5), sample_nuisances(14, 6, 1.0)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        together = crops(people, conditions)
        alone = torch.cat([crops(people[i : i + 1], conditions[i : i + 1]) for i in range(14)])
        torch.set_num_threads(2)
        threaded = crops(people[:3], conditions[:3])
    finally:
        torch.set_num_threads(threads)
    assert together.dtype == torch.uint8 and together.shape == (14, 112, 112, 3)
    assert torch.equal(together, alone)
    assert torch.equal(together[:3], threaded)


def test_portraits_do_not_depend_on_their_batch():
    people, conditions = sample_identities(5, 15), sample_nuisances(5, 16, 1.0)
    together = render(people, conditions, 100)
    order = torch.tensor([3, 1, 4])
    assert torch.equal(together[order], render(people[order], conditions[order], 100))


def test_a_picture_is_in_steps_of_a_byte_and_alike_at_every_size():
    people, conditions = sample_identities(3, 8), neutral(3)
    small = render(people, conditions, 64)
    assert torch.equal((small * 255.0).round() / 255.0, small)
    for size in (128, 256):
        large = torch.nn.functional.avg_pool2d(render(people, conditions, size), size // 64)
        assert (large - small).abs().mean() < 0.02


# --- landmarks and pose ------------------------------------------------------------------------------------


def test_roll_shift_and_scale_move_landmarks_as_a_similarity():
    people = sample_identities(4, 11)
    still = landmarks(people, neutral(4), 200).double()
    angle = 0.3
    rolled = landmarks(people, neutral(4, {"roll": float(np.rad2deg(angle))}), 200).double()
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    arms, turned = still - still[:, :1], rolled - rolled[:, :1]
    assert torch.allclose(turned, arms @ turn.T, atol=1e-3)
    moved = landmarks(people, neutral(4, {"shift_x": 0.1, "shift_y": -0.05}), 200).double()
    assert torch.allclose(moved - still, torch.tensor([20.0, -10.0], dtype=torch.float64), atol=1e-3)
    scaled = landmarks(people, neutral(4, {"scale": 0.2}), 200).double()
    assert torch.allclose(scaled - scaled[:, :1], arms * np.exp(0.2), atol=1e-3)


def test_yaw_is_mirrored_and_looks_where_it_says():
    people, size = sample_identities(4, 12), 256
    left = landmarks(people, neutral(4, {"yaw": -25.0, "pitch": 8.0}), size)
    right = landmarks(people, neutral(4, {"yaw": 25.0, "pitch": 8.0}), size)
    mirrored = torch.stack([size - 1 - right[..., 0], right[..., 1]], dim=2)[:, [1, 0, 2, 4, 3]]
    assert torch.allclose(left, mirrored, atol=1e-3)
    ahead = landmarks(people, neutral(4), size)
    assert (right[:, 2, 0] > ahead[:, 2, 0] + 10.0).all()  # the nose swings to the image's right
    down = landmarks(people, neutral(4, {"pitch": 20.0}), size)
    assert (down[:, 2, 1] > ahead[:, 2, 1] + 10.0).all()


def test_a_symmetric_face_in_symmetric_light_is_its_own_mirror_image():
    face = head(1, {"hair_length": 0.0})
    picture = render(face, neutral(1, {"light_azimuth": 0.0}), 128)[0, :, 20:100, 40:88]
    assert (picture - picture.flip(2)).abs().mean() < 0.003


@pytest.mark.parametrize("pose", [{}, {"yaw": 20.0}, {"yaw": -15.0, "roll": 12.0, "pitch": -8.0}], ids=str)
def test_landmarks_lie_on_what_is_painted(pose):
    condition = neutral(1, pose)
    points = landmarks(head(1), condition, 256)[0].double()
    span = (points[0] - points[1]).norm()

    def center_of_change(name: str, low: float, high: float, keep: torch.Tensor) -> torch.Tensor:
        pair = [render(head(1, {name: value}), condition, 256)[0].double() for value in (low, high)]
        weight = (pair[0] - pair[1]).abs().sum(0) * keep
        rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
        return torch.stack([(weight * columns).sum(), (weight * rows).sum()]).double() / weight.sum()

    columns = torch.arange(256.0)[None].expand(256, -1)
    left = (columns < points[:2, 0].mean()).double()
    for eye, keep in ((points[0], left), (points[1], 1.0 - left)):
        assert (center_of_change("iris_color", 0.1, 1.0, keep) - eye).norm() < 0.05 * span
    lips = center_of_change("lip_color", 0.0, 1.0, torch.ones(256, 256))
    assert (lips - points[3:].mean(0)).norm() < 0.12 * span


def test_crops_sit_on_the_template():
    people, poses = sample_identities(50, 13), sample_nuisances(50, 14)
    poses = with_values(poses, NUISANCE, {"shift_x": 0.0, "shift_y": 0.0, "scale": 0.0})
    template = torch.tensor(TEMPLATE).float()
    points = crop_landmarks(people, poses).float()
    assert torch.allclose(points.mean(1), template.mean(0).expand(50, 2), atol=1e-3)
    arms, goal = points - points.mean(1, keepdim=True), template - template.mean(0)
    twist = (arms[..., 0] * goal[:, 1] - arms[..., 1] * goal[:, 0]).sum(1)
    assert twist.abs().max() < 0.05  # at the least-squares fit no turn is left
    assert (points - template).norm(dim=2).mean() < 4.0
    frontal = crop_landmarks(head(1), neutral(1))[0]
    assert (frontal - template).norm(dim=1).max() < 3.0


# --- the dataset -------------------------------------------------------------------------------------------


def test_the_dataset_is_lazy_labeled_and_repeatable():
    data = ParametricFaces(5, 3, seed=4)
    assert len(data) == 15 and data.targets.tolist() == [i // 3 for i in range(15)]
    crop, label = data[7]
    assert crop.shape == (112, 112, 3) and crop.dtype == torch.uint8 and label == 2
    assert torch.equal(crop, data[7][0]) and torch.equal(data[-1][0], data[14][0])
    batches = list(data.batches(6))
    assert torch.equal(torch.cat([b for b, _ in batches])[7], crop)
    assert torch.cat([labels for _, labels in batches]).tolist() == data.targets.tolist()
    with pytest.raises(IndexError):
        data[15]


def test_people_of_one_seed_are_numbered():
    everyone, _ = ParametricFaces(6, 2, seed=4).parameters(torch.arange(12))
    later, _ = ParametricFaces(2, 2, seed=4, first=4).parameters(torch.arange(4))
    assert torch.equal(everyone[8:], later)
    assert torch.equal(everyone[::2], sample_identities(6, 4))


def test_a_huge_dataset_costs_nothing_until_it_is_looked_at():
    data = ParametricFaces(10_000_000, 100, seed=4)
    crop, label = data[len(data) - 1]
    assert label == 9_999_999 and crop.float().std() > 10.0


def test_the_public_names_are_there():
    assert all(hasattr(parametric, name) for name in parametric.__all__)


def test_a_crop_set_holds_every_face_in_order():
    faces = ParametricFaces(3, 5, seed=4, first=7)
    data = faces.crop_set()
    crops, labels = faces.rows(torch.arange(15))
    assert np.array_equal(data.crops, crops.numpy()) and data.labels.tolist() == labels.tolist()
    assert data.identities == ("rendered/7", "rendered/8", "rendered/9") and len(set(data.names)) == 15
