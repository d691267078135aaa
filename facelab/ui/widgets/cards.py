"""Build HTML cards for the tabs: decision, error, hint, a photo with its detected faces.

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
from facelab.ui.widgets.terms import with_terms

SHOWN_SIDE, FOUND_SIDE = 560, 400  # pixels; of a photo over its input
NETWORKS = f"Same training recipe: {EQUAL_TRAINING}"
COLORS = ("#E69F00", "#56B4E9")  # the face that is used, the others


def problem(sentence: str) -> str:
    """Return an error card, which a screen reader reads out immediately."""
    return (
        f'<div class="fl-card fl-problem" role="alert"><h2>⚠ Check your input</h2>'
        f"<p>{html.escape(sentence)}</p></div>"
    )


def hint(sentence: str) -> str:
    """Return a card with one plain sentence."""
    return f'<div class="fl-card" role="status"><p>{html.escape(sentence)}</p></div>'


def figures(*pairs: tuple[str, str]) -> str:
    """Return (name, value) pairs side by side; a term of the glossary shows its definition."""
    cells = "".join(f"<div><b>{html.escape(value)}</b>{with_terms(name)}</div>" for name, value in pairs)
    return f'<div class="fl-figures">{cells}</div>'


def doubts(warnings: Sequence[str]) -> str:
    """Return the warnings about the error rates of a decision; empty if there are none."""
    said = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in warnings)
    return said and f"<p><b>⚠ FAR and FRR may not hold:</b></p><ul>{said}</ul>"


def verdict_card(verdict: Verdict, warnings: Sequence[str] = (), crops: Sequence[np.ndarray] = ()) -> str:
    """Return the decision on two crops, warnings about its error rates, and the numbers behind it."""
    kind, title = ("same", "✔ Same person") if verdict.same else ("different", "✖ Different people")
    often = f"1 in {1 / verdict.far:,.0f}"
    relation = "reaches" if verdict.same else "is below"
    numbers = figures(
        ("score", f"{verdict.score:.3f}"),
        ("threshold", f"{verdict.threshold:.3f}"),
        ("false accept rate (FAR)", often),
        ("false reject rate (FRR)", f"{verdict.frr:.1%}"),
        ("P(same), 50:50 prior", percent(verdict.probability_same)),
    )
    return (
        f'<div class="fl-card fl-{kind}" role="status"><div class="fl-decided"><h2>{title}</h2>'
        f"{inputs_of(crops)}</div><p>The score {relation} the threshold. At this threshold FAR = {often} "
        f"impostor pairs and FRR = {verdict.frr:.1%} of genuine pairs.</p>"
        f"{doubts(warnings)}{numbers}"
        f'<p class="fl-small">FAR moves the threshold, not P(same), which assumes a 50:50 prior. Threshold, '
        f"FAR, FRR and P(same) were measured on {html.escape(verdict.calibration)}; they may not hold for "
        f"other kinds of photos.</p></div>"
    )


def models_card(
    verdicts: list[Verdict], without: Sequence[tuple[str, float, str]], apart: Collection[str]
) -> str:
    """Return how many models accept the pair, and their decisions and figures, folded: the chart shows them.

    Args:
        verdicts: of the models that have a threshold.
        without: (model, score, reason) of those that have none.
        apart: names of models that have a table of their own.
    """
    rows = {verdict.model: _decided(verdict) for verdict in verdicts}
    rows |= {model: _undecided(model, score) for model, score, _ in without}
    ours = [row for name, row in rows.items() if name not in apart]
    others = [row for name, row in rows.items() if name in apart]
    tables = _folded(f"Values of {len(ours)} model{'s' * (len(ours) != 1)}", ours, "Decision of every model")
    if others:
        title = f"Values of {len(others)} networks. {NETWORKS}"
        tables += _folded(title, others, "Decision of networks with the same training")
    same = sum(verdict.same for verdict in verdicts)
    reasons = [why if why.startswith(model) else f"{model}: {why}" for model, _, why in without]
    notes = "".join(f'<p class="fl-small">{html.escape(reason)}.</p>' for reason in reasons)
    return (
        f'<div class="fl-card" role="status"><h3>Decision of every model</h3>'
        f"<p><b>{same} of {len(verdicts)} models accept this pair</b> (● same, ✖ different). Scores are not "
        f"comparable across models; compare decisions at the same FAR.</p>"
        f"{tables}{notes}</div>"
    )


def _folded(title: str, rows: Sequence[str], label: str) -> str:
    """Return a table below its title, closed."""
    return (
        f'<details class="fl-more"><summary>{html.escape(title)}</summary>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='{html.escape(label)}'>"
        f"<table class='fl-table'><thead><tr><th scope='col'>model</th><th scope='col'>decision</th>"
        f"<th scope='col'>score</th><th scope='col'>threshold</th><th scope='col'>P(same)</th>"
        f"<th scope='col'>FRR</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _decided(verdict: Verdict) -> str:
    """Return the row of a model with its decision."""
    return (
        f'<tr><th scope="row">{html.escape(verdict.model)}</th>'
        f"<td>{'✔ same' if verdict.same else '✖ different'}</td><td>{verdict.score:.3f}</td>"
        f"<td>{verdict.threshold:.3f}</td><td>{percent(verdict.probability_same)}</td>"
        f"<td>{verdict.frr:.1%}</td></tr>"
    )


def _undecided(model: str, score: float) -> str:
    """Return the row of a model that has no threshold, so no decision."""
    return (
        f'<tr><th scope="row">{html.escape(model)}</th><td>no threshold</td><td>{score:.3f}</td>'
        f"{'<td>–</td>' * 3}</tr>"
    )


def percent(probability: float) -> str:
    """Format a probability in percent, bounded by 0.1% and 99.9%."""
    if probability > 0.999:
        return "over 99.9%"
    return "under 0.1%" if probability < 0.001 else f"{probability:.1%}"


def found_card(detection: Detection, chosen: int, name: str) -> str:
    """Return the photo after reading, with numbered boxes; it lies over the input that it came from."""
    count, left_out = len(detection.faces), detection.left_out
    found = "1 face found" if count == 1 else f"{count + left_out} faces found; face {chosen + 1} is used"
    found += f", the largest {count} can be chosen" * (left_out > 0)
    several = " fl-several" if count > 1 else ""
    return (
        f'<figure class="fl-found{several}">{picture(detection.photo.pixels, name, FOUND_SIDE)}'
        f"{_boxes(detection, chosen)}<figcaption>{found}</figcaption></figure>"
    )


def inputs_of(crops: Sequence[np.ndarray]) -> str:
    """Return the two (112, 112, 3) crops that the network is given, side by side; empty without them."""
    figures = "".join(
        f"<figure>{picture(crop, f'aligned face of photo {name}')}<figcaption>{name}</figcaption></figure>"
        for name, crop in zip("AB", crops)
    )
    return (
        figures and f'<div class="fl-inputs" title="Network inputs: aligned, 112×112 pixels">{figures}</div>'
    )


def picture(pixels: np.ndarray, alt: str, side: int = SHOWN_SIDE) -> str:
    """Return an (H, W, 3) image as a data URL, at most so many pixels on a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'


def _boxes(detection: Detection, chosen: int) -> str:
    """Draw boxes, numbers and the five landmarks over the photo."""
    height, width = detection.photo.pixels.shape[:2]
    side = max(width, height)
    stroke, shapes = side / 100, []
    for i, face in enumerate(detection.faces):
        color = COLORS[0 if i == chosen else 1]
        left, top, right, bottom = (float(v) for v in face.box)
        shapes.append(
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{right - left:.0f}" height="{bottom - top:.0f}" '
            f'fill="none" stroke="{color}" stroke-width="{stroke:.1f}"/>'
        )
        if len(detection.faces) > 1:
            font = min(max(0.6 * (right - left), side / 40), side / 16)  # legible, and no wider than its face
            shapes.append(
                f'<text x="{left:.0f}" y="{max(top - stroke, font):.0f}" fill="{color}" '
                f'font-size="{font:.0f}">{i + 1}</text>'
            )
        if i == chosen:
            shapes += [
                f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{stroke:.1f}" fill="{color}"/>'
                for x, y in face.landmarks
            ]
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(shapes)}</svg>'
