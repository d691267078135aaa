"""Solid of a rendered face: a head of blended ellipsoids with a relief, and its position in the picture.

Lengths are in decimeters, with x to the image's right, y down and z toward the viewer; the origin lies
between the eyes, on the axis of the head. The depth of each ellipsoid under an orthographic camera is
closed-form, and a smooth maximum joins them; sockets, lids, lips and cheeks are small hills and hollows added
on top. Simplified: the two halves mirror each other, and the blend happens along the line of sight.
"""

import torch
from torch import Tensor

from facelab.data.parametric import exact
from facelab.data.parametric.field import Frame, apply, bump, ellipsoid, plane, rise, smooth_max
from facelab.data.parametric.shot import (
    Shot,
    Surface,
    Values,
    Window,
    head_pose,
    placed,
    planes,
    to_head,
    window,
)
from facelab.photos.faces import TEMPLATE

PORTRAIT_DM = 2.7  # what a portrait shows, side to side
EYE_X, MOUTH_Y, MOUTH_HALF, NOSE_Y = 0.315, 0.73, 0.26, 0.385
NOSE = (3, 4, 6, 9)  # which of the solids are parts of the nose
NOSE_BOX = ((-0.45, 0.45), (-0.4, 0.85), (0.2, 1.15))  # x, y, z: beyond it, the nose adds exactly nothing
RELIEF_BOX = ((-0.86, 0.86), (-0.4, 1.4), (-0.2, 1.1))  # the same of the relief
RESIDUAL = 0.4  # share of the portrait's shift and scale that is left after alignment


def eye_x(values: Values) -> Tensor:
    """Return x of the center of the eye on the positive side; the axis of the eye lies at y = 0."""
    return EYE_X * values["eye_spacing"] * (0.5 + 0.5 * values["head_width"])


def eye_width(values: Values) -> Tensor:
    """Return half the width of the opening of an eye."""
    return 0.152 * values["eye_size"]


def lids(values: Values) -> tuple[Tensor, Tensor]:
    """Return how far the open lids reach above and below the axis of the eye, in units of its half-width."""
    return 0.53 * values["eye_openness"], 0.33 * (0.4 + 0.6 * values["eye_openness"])


def nose_tip(values: Values) -> Tensor:
    """Return y of the tip of the nose."""
    return NOSE_Y * values["nose_length"] * (0.4 + 0.6 * values["face_length"])


def mouth_line(values: Values) -> tuple[Tensor, Tensor, Tensor]:
    """Return the half-width of the mouth, y of its middle, and how far its corners rise above the middle."""
    smile = values["smile"]
    half = MOUTH_HALF * values["mouth_width"] * (1.0 + 0.16 * smile - 0.1 * values["mouth_open"])
    y = MOUTH_Y * values["face_length"] + values["mouth_height"] + 0.04 * (values["nose_length"] - 1.0)
    return half, y, 0.03 + 0.075 * smile


def _solids(values: Values) -> list[tuple[tuple, tuple, float, float, float]]:
    """Return the head as (center, radii, lean, blend, blend of the outline): ellipsoids in head axes.

    Lean turns about the x axis, in radians. The outline is unchanged where its blend is 0.
    """
    wide, long = values["head_width"], values["face_length"]
    full, jaw, chin, ahead = (
        values[name] for name in ("cheek_fullness", "jaw_width", "chin_width", "chin_forward")
    )
    ear, tucked = values["ear_size"], 0.1 * (values["hair_length"] >= 0.5)
    hairy = rise(values["beard"], 0.6, 0.85)
    nose, bridge, tip = values["nose_width"], values["nose_bridge"], nose_tip(values)
    drop = 0.07 * values["mouth_open"]
    chin_radii = (0.22 * chin + 0.03 * hairy, 0.19 + 0.08 * hairy, 0.24 + 0.04 * hairy)
    solids = [
        ((0.0, -0.20, -0.1), (0.72 * wide, 0.96 * values["forehead"], 0.86), 0.0, 1.0, 1.0),
        ((0.0, 0.24 * long, 0.02), ((0.61 + 0.03 * full) * wide, 0.82 * long + drop, 0.73), 0.0, 0.3, 0.18),
        ((0.0, 0.92 * long + drop, 0.47 + ahead), chin_radii, 0.0, 0.36, 0.22),
        ((0.0, 0.47 * tip, 0.73 + bridge), (0.075 + 0.02 * nose, 0.66 * tip, 0.085), -0.40, 0.16, 0.0),
        ((0.0, tip, 0.845 + 0.3 * bridge), (0.085 * nose, 0.08, 0.1), 0.0, 0.12, 0.02),
    ]
    for side in (-1.0, 1.0):
        jaw_at = (side * 0.30 * jaw * wide, 0.55 * long, 0.0)
        wing_at = (side * 0.105 * nose, tip + 0.02, 0.74)
        ear_at = (side * (0.725 * wide - 0.005 - tucked), 0.11, -0.1)
        solids.append((jaw_at, (0.22 + 0.04 * hairy, 0.34, 0.42), 0.0, 0.32, 0.2))
        solids.append((wing_at, (0.06 * nose, 0.06, 0.1), 0.0, 0.06, 0.0))
        solids.append((ear_at, (0.08 * ear, 0.24 * ear, 0.16 * ear), 0.2, 0.03, 0.02))
    return solids


def _relief(values: Values, side: Tensor, y: Tensor) -> Tensor:
    """Compute the height added along z, in dm, at |x| and y in head coordinates."""
    eye, cheek = eye_x(values), values["cheek_fullness"]
    half, mouth, _ = mouth_line(values)
    lips, grin = values["lip_fullness"], values["smile"].clamp(min=0.0)
    thick = 0.6 + 0.4 * lips
    hills = [
        (-0.085, (eye - 0.05, -0.02), (0.26, 0.17)),  # eye socket
        (0.065, (eye, 0.005), (0.2, 0.13)),  # eyeball under its lids
        (0.035, (eye - 0.06, -0.2), (0.3, 0.12)),  # brow ridge
        (0.06 * values["cheekbone"], (0.48, 0.20), (0.36, 0.30)),
        (0.03 + 0.05 * grin, (0.40, 0.33), (0.28, 0.25)),  # apple of the cheek
        (0.05 * cheek, (0.42, 0.52), (0.34, 0.36)),  # full or hollow cheek
        (0.15, (0.0, mouth - 0.03), (0.5, 0.46)),  # teeth behind the lips
        (0.03 * lips, (0.0, mouth - 0.045), (half, 0.06 * thick)),  # upper lip
        (0.045 * lips, (0.0, mouth + 0.075), (half * 0.8, 0.085 * thick)),  # lower lip
        (-0.03, (0.0, mouth + 0.19), (0.22, 0.07)),  # hollow above the chin
        (-0.014, (0.0, mouth - 0.16), (0.045, 0.1)),  # philtrum
    ]
    total = torch.zeros_like(y)
    for height, center, radii in hills:
        total.add_(bump(side, y, center, radii).mul_(height))
    return total


def head_of(shot: Shot) -> Surface:
    """Return the head with its ears, without hair, as the camera sees it."""
    return _head(
        shot.values,
        shot.look,
        (shot.pose, shot.u, shot.v),
        window(shot, *NOSE_BOX),
        window(shot, *RELIEF_BOX),
    )


def _head(
    values: Values, look: Values, view: tuple[Tensor, Tensor, Tensor], nose: Window, relief: Window
) -> Surface:
    """Return the head in a view (pose, u, v); nose and relief are computed only where the picture can show
    them.
    """
    pose, u, v = view
    centers, radii, leans, blends, outlines = zip(*_solids(values), strict=True)
    parts = placed(pose, list(centers), list(radii), list(leans))
    depth, inside = ellipsoid(u, v, parts[0])
    inside.mul_(parts[0, -1])
    for number in range(1, len(parts)):
        if number not in NOSE:
            _join(
                (depth, inside),
                ellipsoid(u, v, parts[number]),
                parts[number],
                (blends[number], outlines[number]),
            )
    rows, columns = nose
    near, hull = (u[..., columns], v[:, rows]), (depth[:, rows, columns], inside[:, rows, columns])
    for number in NOSE:
        _join(hull, ellipsoid(*near, parts[number]), parts[number], (blends[number], outlines[number]))
    rows, columns = relief
    x, y, _ = to_head(pose, u[..., columns], v[:, rows], depth[:, rows, columns])
    depth[:, rows, columns].add_(_relief(look, x.abs_(), y).mul_(plane(pose[:, 2, 2])))
    return Surface(depth, inside, *to_head(pose, u, v, depth))


def _join(hull: tuple[Tensor, Tensor], solid: tuple[Tensor, Tensor], quadric: Tensor, blends: tuple) -> None:
    """Blend a solid's depth and outline into the hull's, in place."""
    (depth, inside), (new, distance), (blend, outline) = hull, solid, blends
    depth.copy_(smooth_max(depth, new, blend))
    if outline > 0.0:
        inside.copy_(smooth_max(inside, distance.mul_(quadric[-1]), outline))


def landmark_points(values: Values) -> Tensor:
    """Return (B, 5, 3) float64 head coordinates of eyes, nose tip and mouth corners, in image order."""
    eye, tip, (high, low) = eye_x(values), nose_tip(values), lids(values)
    half, mouth, lift = mouth_line(values)
    gaze = 0.5 * (low - high) * eye_width(values)  # the middle between the open lids
    end, corner = 0.94 * half, mouth - 0.88 * lift  # where the lips are last seen
    x = torch.stack([-eye, eye, torch.zeros_like(half), -end, end], dim=1)
    y = torch.stack([gaze, gaze, tip, corner, corner], dim=1)
    front = torch.eye(3, dtype=torch.float64, device=x.device).expand(len(x), 3, 3)
    view = (front, x.float()[:, None], y.float()[:, None])
    surface = _head(values, planes(values), view, *[(slice(None), slice(None))] * 2)
    return torch.stack([x, y, surface.depth[:, 0].double()], dim=2)


def portrait_frame(values: Values, size: int) -> Frame:
    """Return the camera of a portrait: the head in the middle, moved and scaled by the nuisance."""
    middle = (size - 1) / 2.0
    pixels_per_dm = size / PORTRAIT_DM * exact.exp(values["scale"])
    x = middle + size * values["shift_x"]
    y = middle + size * values["shift_y"] - 0.04 * pixels_per_dm
    return Frame(torch.zeros_like(x), pixels_per_dm, torch.stack([x, y], dim=1), size)


def aligned_frame(values: Values, size: int) -> Frame:
    """Return the camera that maps the five landmarks to the ArcFace template, a least-squares similarity
    transform.

    A share of the nuisance's shift and scale remains, as after a real detector.
    """
    still = torch.zeros_like(values["yaw"])
    points = apply(head_pose(values, still), landmark_points(values))[..., :2]
    goal = (torch.tensor(TEMPLATE, dtype=torch.float64, device=points.device) + 0.5) * (size / 112.0) - 0.5
    mean, goal_mean = _sum_of_five(points)[:, None] / 5.0, _sum_of_five(goal[None])[0] / 5.0
    (x, y), (goal_x, goal_y) = (points - mean).unbind(2), (goal - goal_mean).unbind(1)
    zoom = exact.exp(RESIDUAL * values["scale"]) / _sum_of_five(x * x + y * y)
    real = _sum_of_five(x * goal_x + y * goal_y) * zoom
    imaginary = _sum_of_five(x * goal_y - y * goal_x) * zoom
    x, y = mean[:, 0].unbind(1)
    moved = torch.stack([real * x - imaginary * y, imaginary * x + real * y], dim=1)
    shift = torch.stack([values["shift_x"], values["shift_y"]], dim=1) * (RESIDUAL * size)
    length = exact.sqrt(real * real + imaginary * imaginary)
    return Frame(exact.angle(real, imaginary), length, goal_mean - moved + shift, size)


def _sum_of_five(values: Tensor) -> Tensor:
    """Add over axis 1, of length 5, in a fixed order: torch's order depends on the processor."""
    a, b, c, d, e = values.unbind(1)
    return a + b + c + d + e


def project(values: Values, frame: Frame) -> Tensor:
    """Return (B, 5, 2) float32 pixel coordinates of the five landmarks."""
    view = apply(head_pose(values, frame.turn), landmark_points(values))[..., :2]
    return (view * frame.pixels_per_dm[:, None, None] + frame.origin[:, None]).float()
