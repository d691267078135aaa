"""Draw heat maps over faces: each feature-map position with its exact contribution to the score.

Blue raises the score and orange lowers it; the sign of the number repeats this without color. Numbers are in
units of 10^-3.
"""

import html
from typing import Any

import numpy as np

from facelab.photos.faces import CROP_SIZE
from facelab.recognition.reference import NAME as REFERENCE
from facelab.recognition.saliency import cosine_maps
from facelab.ui.widgets.cards import hint, picture

ADDS, TAKES = "#0072B2", "#D55E00"
NOT_OURS = (
    "The reference model returns embeddings only, not its last feature map. Choose a FaceLab model to see "
    "the contribution of each position."
)
OFFER = "Press Explain the score to see what each position of the feature map contributes to it."


def crops_of(pair: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the aligned crops of both chosen faces of a `Pair`."""
    return pair.a.faces[pair.face_a].crop, pair.b.faces[pair.face_b].crop


def why(pair: Any) -> str:
    """Return heat maps of the score of a `Pair`, or a hint why there are none."""
    if pair.model == REFERENCE:
        return hint(NOT_OURS)
    crops = crops_of(pair)
    try:
        return why_card(cosine_maps(pair.model, *crops), crops, pair.score)
    except ValueError as error:  # a model of the visit whose layers are not open
        return hint(f"{error}.")


def why_card(maps: tuple[np.ndarray, np.ndarray], crops: tuple[np.ndarray, np.ndarray], score: float) -> str:
    """Return both faces with their maps (h, w), and the sums that equal the score."""
    figures = "".join(_figure(name, heat, crop) for name, heat, crop in zip("AB", maps, crops))
    sums = " = ".join(f"sum of map {name} <b>{heat.sum():.4f}</b>" for name, heat in zip("AB", maps))
    return (
        f'<div class="fl-card" role="status"><h3>Score decomposition</h3>'
        f"<p>The cosine similarity decomposes exactly over feature-map positions: blue raises it, orange "
        f"(minus) lowers it, ×10⁻³. {sums} = the score <b>{score:.4f}</b>.</p>"
        f'<div class="fl-heat">{figures}</div>'
        f'<p class="fl-small">Exact, not an estimate: the network is affine after its last convolution, so '
        f"⟨e<sub>A</sub>, e<sub>B</sub>⟩ / (‖e<sub>A</sub>‖ ‖e<sub>B</sub>‖) has one term per pair of "
        f"positions. A cell sums its terms over all positions of the other face. The mirrored crop counts at "
        f"its own positions; the neck’s bias is spread evenly. Receptive fields are larger than a cell, so "
        f"read a cell as a region.</p>"
        f"</div>"
    )


def _figure(name: str, heat: np.ndarray, crop: np.ndarray) -> str:
    rows, columns = heat.shape
    height, width, largest = CROP_SIZE / rows, CROP_SIZE / columns, np.abs(heat).max() or 1.0
    cells = []
    for row in range(rows):
        for column in range(columns):
            value = float(heat[row, column])
            x, y = column * width, row * height
            cells.append(
                f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
                f'fill="{ADDS if value >= 0 else TAKES}" fill-opacity="{0.7 * abs(value) / largest:.2f}"/>'
                f'<text x="{x + width / 2:.2f}" y="{y + height / 2:.2f}" font-size="{height / 3.2:.2f}">'
                f"{signed(value)}</text>"
            )
    best = np.unravel_index(heat.argmax(), heat.shape)
    position = f"row {best[0] + 1} of {rows}, column {best[1] + 1}"
    alt = f"map of photo {name}: {position} contributes most, {heat.max():.3f}"
    return (
        f'<figure><div class="fl-photo">{picture(crop, "")}'
        f'<svg viewBox="0 0 {CROP_SIZE} {CROP_SIZE}" role="img" aria-label="{html.escape(alt)}">'
        f"{''.join(cells)}</svg></div><figcaption>Photo {name}</figcaption></figure>"
    )


def signed(value: float) -> str:
    """Format a contribution in units of 10^-3, with a true minus sign."""
    return f"{1000 * value:.0f}".replace("-0", "0").replace("-", "−")
