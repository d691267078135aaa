"""Parameters of a rendered face: meaning, valid range and distribution of each.

A face is two rows of numbers, identity and nuisance, and each column has a name in a table below. Random
numbers come from a counter hash (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): row i,
column j of seed s is one fixed value on every machine, independent of the other rows drawn. Simplified:
columns are drawn independently, while in people hair, skin, age and shape are correlated.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from facelab.data.parametric import exact

_MASK32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Parameter:
    """Describe one parameter: its valid range [low, high], middle, standard deviation of the draw, and
    meaning.
    """

    low: float
    high: float
    middle: float
    spread: float
    meaning: str


# Identity: `spread` is in log-odds of the range; a draw is low + (high - low) * sigmoid(logit + spread * z).
IDENTITY: dict[str, Parameter] = {
    "head_width": Parameter(0.86, 1.14, 1.0, 1.3, "Width of skull and face, as a factor."),
    "face_length": Parameter(0.9, 1.12, 1.0, 1.2, "Length from eyes to chin, as a factor."),
    "forehead": Parameter(0.9, 1.12, 1.0, 1.0, "Height of the skull above the eyes, as a factor."),
    "jaw_width": Parameter(0.8, 1.2, 1.0, 1.3, "Width at the corners of the jaw, as a factor."),
    "chin_width": Parameter(0.65, 1.4, 0.98, 1.3, "Width of the chin, as a factor."),
    "chin_forward": Parameter(-0.08, 0.08, 0.0, 1.2, "How far the chin stands out, in dm."),
    "cheekbone": Parameter(0.0, 1.0, 0.5, 1.4, "How far the cheekbones stand out; 0 is flat."),
    "cheek_fullness": Parameter(-1.0, 1.0, 0.0, 1.3, "Cheeks from hollow (-1) to round (1)."),
    "ear_size": Parameter(0.75, 1.3, 1.0, 1.2, "Size of the ears, as a factor."),
    "eye_spacing": Parameter(0.9, 1.1, 1.0, 1.2, "Distance between the eyes, as a factor."),
    "eye_size": Parameter(0.82, 1.22, 1.0, 1.3, "Width of the eye opening, as a factor."),
    "eye_openness": Parameter(0.68, 1.3, 1.0, 1.3, "Height of the eye opening at rest, as a factor."),
    "eye_tilt": Parameter(-0.22, 0.28, 0.05, 1.2, "Slope of the eye axis; outer corner up is positive."),
    "iris_color": Parameter(
        0.0, 1.0, 0.35, 1.7, "From dark brown (0) by hazel and green to blue and gray (1)."
    ),
    "lid_fold": Parameter(0.0, 1.0, 0.5, 1.6, "Upper lid from no visible fold (0) to a deep fold (1)."),
    "brow_thickness": Parameter(0.45, 1.9, 0.95, 1.2, "Thickness of the eyebrows, as a factor."),
    "brow_height": Parameter(-0.05, 0.07, 0.0, 1.2, "Height of the eyebrows above their usual place, in dm."),
    "brow_arch": Parameter(-0.06, 0.14, 0.04, 1.2, "Arch of the eyebrows, in dm; negative sags."),
    "brow_tilt": Parameter(-0.16, 0.3, 0.02, 1.2, "Slope of the eyebrows; outer end up is positive."),
    "nose_length": Parameter(0.86, 1.16, 1.0, 1.1, "Length of the nose, as a factor."),
    "nose_width": Parameter(0.72, 1.5, 1.02, 1.3, "Width of the nostrils and tip, as a factor."),
    "nose_bridge": Parameter(
        -0.08, 0.08, 0.0, 1.3, "Height of the bridge of the nose, in dm; low is negative."
    ),
    "mouth_width": Parameter(0.87, 1.14, 1.0, 1.1, "Width of the mouth, as a factor."),
    "mouth_height": Parameter(
        -0.035, 0.045, 0.0, 1.1, "How far the mouth sits below its usual place, in dm."
    ),
    "lip_fullness": Parameter(0.45, 1.7, 1.0, 1.3, "Height of the lips, as a factor."),
    "lip_color": Parameter(0.0, 1.0, 0.45, 1.4, "Lips from skin-colored (0) to deep rose (1)."),
    "skin_tone": Parameter(0.0, 1.0, 0.42, 1.5, "Skin from very fair (0) to very deep (1)."),
    "skin_warmth": Parameter(-1.0, 1.0, 0.0, 1.2, "Undertone from rosy (-1) to golden (1)."),
    "freckles": Parameter(0.0, 1.0, 0.4, 1.2, "Freckles; none below 0.6."),
    "age": Parameter(0.0, 1.0, 0.35, 1.3, "Lines on forehead, eyes and cheeks; none below 0.3."),
    "hair_tone": Parameter(0.0, 1.0, 0.3, 1.5, "Hair from black (0) by brown to light blond (1)."),
    "hair_red": Parameter(0.0, 1.0, 0.3, 1.3, "Share of copper in the hair; none below 0.4."),
    "hair_gray": Parameter(0.0, 1.0, 0.22, 1.4, "Share of gray in the hair; none below 0.45."),
    "hair_length": Parameter(
        0.0, 1.0, 0.47, 1.9, "Below 0.1 bald, to 0.5 short, to 0.75 a bob, above it long."
    ),
    "hair_volume": Parameter(0.0, 1.0, 0.45, 1.3, "How far the hair stands off the head."),
    "hairline": Parameter(-0.14, 0.1, 0.0, 1.2, "Height of the hairline, in dm; positive is higher."),
    "hair_recession": Parameter(0.0, 1.0, 0.3, 1.4, "Receding at the temples; above 0.7 thin on top too."),
    "hair_fringe": Parameter(0.0, 1.0, 0.33, 1.6, "Fringe over the forehead; none below 0.45."),
    "hair_parting": Parameter(-1.0, 1.0, 0.0, 2.0, "Side to which the hair is parted."),
    "hair_curl": Parameter(0.0, 1.0, 0.4, 1.7, "From straight (0) by wavy to curly (1)."),
    "hair_bun": Parameter(0.0, 1.0, 0.25, 1.4, "A bun on top of the head; none below 0.65."),
    "beard": Parameter(0.0, 1.0, 0.22, 1.8, "None below 0.45, stubble to 0.65, then a full beard."),
    "moustache": Parameter(0.0, 1.0, 0.22, 1.6, "None below 0.5, then growing."),
}

# Nuisance: `spread` is the standard deviation at difficulty 0.5; it grows in proportion to difficulty.
NUISANCE: dict[str, Parameter] = {
    "yaw": Parameter(
        -45.0, 45.0, 0.0, 10.0, "Turn of the head in degrees; positive looks to the image's right."
    ),
    "pitch": Parameter(-30.0, 30.0, 0.0, 4.0, "Nod of the head in degrees; positive looks down."),
    "roll": Parameter(
        -30.0, 30.0, 0.0, 5.0, "Tilt of the head in degrees; positive turns clockwise in the image."
    ),
    "light_azimuth": Parameter(-90.0, 90.0, -25.0, 24.0, "Key light in degrees; positive is from the right."),
    "light_elevation": Parameter(-20.0, 80.0, 28.0, 11.0, "Height of the key light in degrees."),
    "light_strength": Parameter(0.0, 1.0, 0.55, 0.13, "Share of the key light; 0 is flat light all round."),
    "light_warmth": Parameter(-1.0, 1.0, 0.0, 0.3, "Key light from cool (-1) to warm (1)."),
    "exposure": Parameter(0.5, 1.5, 1.0, 0.08, "Brightness of the picture, as a factor."),
    "smile": Parameter(
        -0.4, 1.0, 0.14, 0.2, "Corners of the mouth, from down (negative) to a wide smile (1)."
    ),
    "mouth_open": Parameter(0.0, 1.0, 0.0, 0.11, "How far the mouth is open."),
    "brow_raise": Parameter(-1.0, 1.0, 0.0, 0.25, "Eyebrows from lowered (-1) to raised (1)."),
    "eyes_closed": Parameter(0.0, 1.0, 0.0, 0.12, "How far the lids are closed."),
    "gaze_x": Parameter(-1.0, 1.0, 0.0, 0.25, "Eyes look to the image's left (-1) or right (1)."),
    "gaze_y": Parameter(-1.0, 1.0, 0.0, 0.2, "Eyes look up (-1) or down (1)."),
    "glasses": Parameter(0.0, 1.0, 0.0, 0.34, "Glasses are worn above 0.5."),
    "glasses_shape": Parameter(0.0, 1.0, 0.5, 0.3, "Frames from round (0) to square (1)."),
    "hat": Parameter(0.0, 1.0, 0.0, 0.24, "A knitted hat is worn above 0.5."),
    "face_mask": Parameter(0.0, 1.0, 0.0, 0.19, "A mask over nose and mouth is worn above 0.5."),
    "background_hue": Parameter(0.0, 1.0, 0.55, 0.4, "Hue of the background, once round the color circle."),
    "background_tone": Parameter(0.0, 1.0, 0.6, 0.2, "Background from dark (0) to light (1)."),
    "garment_hue": Parameter(0.0, 1.0, 0.6, 0.4, "Hue of clothes, glasses and hat, once round the circle."),
    "garment_tone": Parameter(0.0, 1.0, 0.4, 0.25, "Clothes from dark (0) to light (1)."),
    "blur": Parameter(
        0.0, 1.0, 0.0, 0.12, "Softness; 1 is a deviation of 1.5% of the frame; none below 0.1."
    ),
    "noise": Parameter(0.0, 1.0, 0.0, 0.08, "Sensor noise; 1 is a standard deviation of 10% of full scale."),
    "grain": Parameter(0.0, 1.0, 0.5, 0.5, "Which noise pattern; each value is another one."),
    "compression": Parameter(
        0.0, 1.0, 0.0, 0.2, "JPEG loss: quality is 100 - 90 times this; none below 0.05."
    ),
    "scale": Parameter(-0.25, 0.25, 0.0, 0.04, "Log of the size of the face in the frame."),
    "shift_x": Parameter(-0.15, 0.15, 0.0, 0.02, "Face moved right, as a share of the frame."),
    "shift_y": Parameter(-0.15, 0.15, 0.0, 0.02, "Face moved down, as a share of the frame."),
}


def check(values: Tensor, table: dict[str, Parameter]) -> Tensor:
    """Return values as (B, K) float32 if every one is valid.

    Raises:
        ValueError: wrong shape, or a value outside its range; the message names parameter, value and range.
    """
    values = torch.as_tensor(values).float()
    if values.ndim != 2 or values.shape[1] != len(table):
        raise ValueError(
            f"expected shape (B, {len(table)}), one column per parameter, got {tuple(values.shape)}"
        )
    low, high, _, _ = bounds(table)
    low, high = low.float().to(values.device), high.float().to(values.device)
    legal = (values >= low) & (values <= high)  # NaN compares false, so it is refused too
    if not bool(legal.all()):
        row, column = (~legal).nonzero()[0].tolist()
        name = list(table)[column]
        wrong, low, high = values[row, column].item(), table[name].low, table[name].high
        raise ValueError(f"{name} is {wrong:g} in row {row}; legal values are {low:g} to {high:g}")
    return values


def bounds(table: dict[str, Parameter]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the table's columns low, high, middle and spread, each (K,) float64."""
    rows = [(p.low, p.high, p.middle, p.spread) for p in table.values()]
    low, high, middle, spread = torch.tensor(rows, dtype=torch.float64).unbind(1)
    return low, high, middle, spread


def typical(table: dict[str, Parameter], n: int) -> Tensor:
    """Return (n, K) float32 rows in which every parameter has its middle value: average head, or neutral
    photo.
    """
    return bounds(table)[2].float().expand(n, -1).clone()


def with_values(values: Tensor, table: dict[str, Parameter], changes: dict[str, float | Tensor]) -> Tensor:
    """Return a copy of values (B, K) in which the named columns are replaced by a number or a (B,) tensor.

    Raises:
        ValueError: a name is not in the table, or a value is out of range.
    """
    unknown = [name for name in changes if name not in table]
    if unknown:
        raise ValueError(f"unknown parameter {unknown[0]!r}; legal names are {', '.join(table)}")
    values, names = values.clone(), list(table)
    for name, value in changes.items():
        values[:, names.index(name)] = torch.as_tensor(value, dtype=values.dtype, device=values.device)
    return check(values, table)


def normals(rows: Tensor, columns: int, seed: int) -> Tensor:
    """Draw standard normal numbers that depend on (seed, row, column) only.

    Args:
        rows: (n,) int64 row numbers, zero or more.
        columns: numbers per row.
        seed: any integer.

    Returns:
        (n, columns) float64.
    """
    counters = rows[:, None] * columns + torch.arange(columns)
    bits = mix(mix(counters, seed), 0x632BE5AB)
    return exact.normal_score((bits.double() + 0.5) / 2**32)


def mix(counters: Tensor, seed: int) -> Tensor:
    """Hash int64 counters with a seed to 32 mixed bits, as int64 in [0, 2**32) (lowbias32, Wellons 2018)."""
    key = seed * 0x9E3779B1 + (seed >> 32) * 0x85EBCA77 + 0x165667B1
    x = (counters ^ (counters >> 32) * 0x27D4EB2F ^ (key & _MASK32)) & _MASK32
    for shift, multiplier in ((16, 0x7FEB352D), (15, 0x2C1B3C6D)):
        x = ((x ^ (x >> shift)) * multiplier) & _MASK32
    return x ^ (x >> 16)
