"""Pieces of HTML that the tabs share: the verdict, a problem, a photo with the faces found in it.

Pictures are embedded as data, so that no copy of a face is written to disk for the page. All text that
comes from outside is escaped.
"""

import base64
import html
import io
from collections.abc import Collection, Sequence

import numpy as np
from PIL import Image

from facelab.evaluation.results import EQUAL_TRAINING
from facelab.recognition.verify import Detection, Verdict

SHOWN_SIDE = 560
NETWORKS = f"Networks trained alike: {EQUAL_TRAINING}"
COLORS = ("#E69F00", "#56B4E9")  # the face that is used, the others


def problem(sentence: str) -> str:
    """A card that says what to do; read out at once by a screen reader."""
    return (
        f'<div class="fl-card fl-problem" role="alert"><h2>⚠ Not yet</h2><p>{html.escape(sentence)}</p></div>'
    )


def hint(sentence: str) -> str:
    """A card for a state in which there is nothing to show."""
    return f'<div class="fl-card" role="status"><p>{html.escape(sentence)}</p></div>'


def figures(*pairs: tuple[str, str]) -> str:
    """Numbers with their names, side by side."""
    cells = "".join(f"<div><b>{html.escape(value)}</b>{html.escape(name)}</div>" for name, value in pairs)
    return f'<div class="fl-figures">{cells}</div>'


def verdict_card(verdict: Verdict, warnings: Sequence[str] = ()) -> str:
    """The decision in words, what speaks against its rates, then the numbers that it rests on."""
    doubts = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in warnings)
    doubts = doubts and f"<p><b>⚠ These rates may not hold:</b></p><ul>{doubts}</ul>"
    kind, title = ("same", "✔ Same person") if verdict.same else ("different", "✖ Different people")
    often = f"1 in {1 / verdict.far:,.0f}"
    relation = "reaches" if verdict.same else "stays below"
    numbers = figures(
        ("score", f"{verdict.score:.3f}"),
        ("threshold", f"{verdict.threshold:.3f}"),
        ("false accepts (FAR)", often),
        ("false rejects (FRR)", f"{verdict.frr:.1%}"),
        ("probability same, at even odds", percent(verdict.probability_same)),
    )
    return (
        f'<div class="fl-card fl-{kind}" role="status"><h2>{title}</h2>'
        f"<p>The score {relation} the threshold. At this threshold {often} pairs of different people would "
        f"be taken for one person, and {verdict.frr:.1%} of pairs of one person would be refused.</p>"
        f"{doubts}{numbers}"
        f'<p class="fl-small">The verdict follows your strictness, the probability does not: '
        f"it assumes that both answers were equally likely before the photos were seen. Threshold, rates "
        f"and probability were measured on {html.escape(verdict.calibration)}; on photos of another kind "
        f"they can be off.</p></div>"
    )


def models_card(verdicts: list[Verdict], without: list[str], apart: Collection[str]) -> str:
    """One row a model: the same two faces, its score, its threshold and what it says; some rows apart."""
    rows = _model_rows([verdict for verdict in verdicts if verdict.model not in apart])
    others = _model_rows([verdict for verdict in verdicts if verdict.model in apart])
    if others:
        rows += f"<tbody><tr><th colspan='6' scope='rowgroup'>{NETWORKS}</th></tr></tbody>{others}"
    notes = "".join(f'<p class="fl-small">{html.escape(sentence)}</p>' for sentence in without)
    return (
        f'<div class="fl-card" role="status"><h3>The same two faces under every model</h3>'
        f"<p>A score means nothing without its own model’s threshold: compare what the models say, not their "
        f"scores.</p><div class='fl-scroll' tabindex='0' role='region' aria-label='Every model’s answer'>"
        f"<table class='fl-table'><thead><tr>"
        f"<th scope='col'>model</th><th scope='col'>says</th><th scope='col'>score</th>"
        f"<th scope='col'>its threshold</th><th scope='col'>probability same</th>"
        f"<th scope='col'>refuses of one person</th></tr></thead>{rows}</table></div>{notes}"
        f"</div>"
    )


def _model_rows(verdicts: list[Verdict]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(v.model)}</th>'
        f"<td>{'✔ same' if v.same else '✖ different'}</td><td>{v.score:.3f}</td><td>{v.threshold:.3f}</td>"
        f"<td>{percent(v.probability_same)}</td><td>{v.frr:.1%}</td></tr>"
        for v in verdicts
    )
    return f"<tbody>{rows}</tbody>" if rows else ""


def percent(probability: float) -> str:
    """A probability in words that never claim certainty."""
    if probability > 0.999:
        return "over 99.9%"
    return "under 0.1%" if probability < 0.001 else f"{probability:.1%}"


def detection_card(detection: Detection, chosen: int, name: str) -> str:
    """The photo with numbered boxes, and beside it the crop of the chosen face as the network sees it."""
    count = len(detection.faces)
    found = "1 face found" if count == 1 else f"{count} faces found; face {chosen + 1} is used"
    return (
        f'<div class="fl-seen"><figure><div class="fl-photo">{picture(detection.photo.pixels, name)}'
        f"{_boxes(detection, chosen)}</div><figcaption>{html.escape(name)}: {found}</figcaption></figure>"
        f"<figure>{picture(detection.faces[chosen].crop, f'aligned face of {name}')}"
        f"<figcaption>what the network sees, 112×112</figcaption></figure></div>"
    )


def picture(pixels: np.ndarray, alt: str) -> str:
    """An image (H, W, 3) as data, at most 560 pixels large."""
    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'


def _boxes(detection: Detection, chosen: int) -> str:
    """Boxes, numbers and the five landmarks, drawn over the photo."""
    height, width = detection.photo.pixels.shape[:2]
    stroke, shapes = max(width, height) / 150, []
    for i, face in enumerate(detection.faces):
        color = COLORS[0 if i == chosen else 1]
        left, top, right, bottom = (float(v) for v in face.box)
        shapes.append(
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{right - left:.0f}" height="{bottom - top:.0f}" '
            f'fill="none" stroke="{color}" stroke-width="{stroke:.1f}"/>'
        )
        if len(detection.faces) > 1:
            shapes.append(
                f'<text x="{left:.0f}" y="{max(top - stroke, 6 * stroke):.0f}" fill="{color}" '
                f'font-size="{8 * stroke:.0f}" font-weight="700">{i + 1}</text>'
            )
        if i == chosen:
            shapes += [
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{stroke:.1f}" fill="{color}"/>'
                for x, y in face.landmarks
            ]
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(shapes)}</svg>'
