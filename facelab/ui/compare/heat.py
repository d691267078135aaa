"""Heat maps over faces: every cell of a feature map with the exact number that it adds to a score.

Blue adds and orange takes away; the number's sign says the same without color. Numbers are thousandths,
so that a map's cells can be added up in the head.
"""

import html

import numpy as np

from facelab.photos.faces import CROP_SIZE
from facelab.ui.widgets.cards import picture

ADDS, TAKES = "#0072B2", "#D55E00"
NOT_OURS = (
    "The reference model comes as a closed program that gives its vectors only, not the feature map before "
    "them. Choose one of our models to see where its score comes from."
)


def why_card(maps: tuple[np.ndarray, np.ndarray], crops: tuple[np.ndarray, np.ndarray], score: float) -> str:
    """Both faces under their maps (h, w), and the sums that show that nothing is left out."""
    figures = "".join(_figure(name, heat, crop) for name, heat, crop in zip("AB", maps, crops))
    sums = " = ".join(f"sum of map {name} <b>{heat.sum():.4f}</b>" for name, heat in zip("AB", maps))
    return (
        f'<div class="fl-card" role="status"><h3>Where the score comes from</h3>'
        f"<p>The score is a sum over places: each number is how many thousandths one place adds to it "
        f"(blue) or takes from it (orange, minus). {sums} = the score <b>{score:.4f}</b>.</p>"
        f'<div class="fl-heat">{figures}</div>'
        f'<p class="fl-small">This is exact and no estimate: after its last convolution the network is '
        f"affine, so ⟨e<sub>A</sub>, e<sub>B</sub>⟩ / (|e<sub>A</sub>| |e<sub>B</sub>|) splits into one term "
        f"for each pair of places, and a cell is the sum of its terms with all places of the other face. The "
        f"mirror image that scores average in is counted at its own places, and the neck’s constant is "
        f"spread evenly over all cells. A cell has also seen its surroundings: read it as “around here”.</p>"
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
    place = f"row {best[0] + 1} of {rows}, column {best[1] + 1}"
    alt = f"map of photo {name}: {place} adds most, {heat.max():.3f}"
    return (
        f'<figure><div class="fl-photo">{picture(crop, "")}'
        f'<svg viewBox="0 0 {CROP_SIZE} {CROP_SIZE}" role="img" aria-label="{html.escape(alt)}">'
        f"{''.join(cells)}</svg></div><figcaption>Photo {name}</figcaption></figure>"
    )


def signed(value: float) -> str:
    """Thousandths with a true minus sign."""
    return f"{1000 * value:.0f}".replace("-0", "0").replace("-", "−")
