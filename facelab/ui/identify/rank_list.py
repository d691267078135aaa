"""Build HTML cards for galleries: enrolled persons, both answers, the rank list, DIR and FPIR."""

import html
import unicodedata
from collections.abc import Sequence

import numpy as np

from facelab.metrics.identification import Search
from facelab.recognition.gallery import Answer, Gallery
from facelab.ui.widgets.cards import doubts, picture
from facelab.ui.widgets.terms import with_terms

SHOWN = 24  # people on the page; the others are counted
JOINER = "\N{ZERO WIDTH JOINER}"
Crops = dict[str, np.ndarray]
DIR, FPIR = with_terms("DIR"), with_terms("FPIR")


def gallery_card(gallery: Gallery, crops: Crops, own: bool = False) -> str:
    """Return the enrolled persons, with a face where there is one (an imported gallery has none).

    Args:
        gallery: names and embeddings.
        crops: a face of those that have one.
        own: whether a visitor made it, so that closing the page loses it (see page.js).
    """
    counts = gallery.counts()
    if not counts:
        return (
            f'<div class="fl-card" role="status"><h3>The gallery is empty</h3><p>No person is enrolled under '
            f"{html.escape(gallery.model)}. Enroll a person below: a name and one photo are enough. "
            f"The leave-one-out test needs two photos of a person.</p></div>"
        )
    people = "".join(
        f"<figure>{face(person, crops)}<figcaption>{html.escape(person)}<br>"
        f"{count} photo{'s' if count > 1 else ''}</figcaption></figure>"
        for person, count in list(counts.items())[:SHOWN]
    )
    more = f"<p>… and {len(counts) - SHOWN} more.</p>" if len(counts) > SHOWN else ""
    return (
        f'<div class="fl-card" role="status"{" data-unsaved" if own else ""}><h3>Gallery: {len(counts)} '
        f"{'people' if len(counts) > 1 else 'person'}, {len(gallery.people)} photos</h3>"
        f'<div class="fl-people">{people}</div>{more}'
        f'<p class="fl-small">Embeddings of {html.escape(gallery.model)}. Embeddings of two models are not '
        f"comparable, so another model embeds the enrolled faces again. An imported gallery keeps its "
        f"model.</p></div>"
    )


def face(person: str, crops: Crops) -> str:
    """Return a person's first face, or their initial."""
    if person in crops:
        return picture(crops[person], f"face of {person}")
    return f'<div class="fl-initial" aria-hidden="true">{html.escape(initial(person))}</div>'


def initial(person: str) -> str:
    """Return a name's first letter, whole: with its accents, and both halves of a flag."""
    name = unicodedata.normalize("NFC", person).upper()
    flag = len(name) > 1 and all("\U0001f1e6" <= letter <= "\U0001f1ff" for letter in name[:2])
    end = 2 if flag else 1
    while end < len(name) and (JOINER in name[end - 1 : end + 1] or is_mark(name[end])):
        end += 1
    return name[:end]


def is_mark(letter: str) -> bool:
    """Return whether a character modifies the one before it: an accent, a variant or a skin tone."""
    return unicodedata.category(letter).startswith("M") or "\U0001f3fb" <= letter <= "\U0001f3ff"


def answers_card(answer: Answer, probe: np.ndarray, crops: Crops, warnings: Sequence[str] = ()) -> str:
    """Return the closed-set and open-set answers with warnings about their rates, and the rank list."""
    nearest, score = answer.ranks[0]
    known = answer.open_set is not None
    relation = f"{score:.3f} {'reaches' if known else 'is below'} the threshold {answer.threshold:.3f}"
    verdict = f"✔ {html.escape(nearest)}" if known else "? Unknown"
    strangers = (
        f"With FAR 1/{1 / answer.far:,.0f} per comparison and {answer.photos} gallery "
        f"photo{'s' if answer.photos > 1 else ''}, {FPIR} ≈ 1 − (1 − FAR){superscript(answer.photos)} = "
        f"{answer.stranger_accepted:.1%} (independence assumed). Larger galleries need a lower FAR."
    )
    return (
        f'<div class="fl-two"><div class="fl-card fl-closed" role="status"><h2>→ {html.escape(nearest)}</h2>'
        f"<p><b>Closed set:</b> returns the nearest of {len(answer.ranks)} identities at any score."
        f"</p></div>"
        f'<div class="fl-card {"fl-same" if known else "fl-different"}" role="status"><h2>{verdict}</h2>'
        f"<p><b>Open set:</b> returns “unknown” below the threshold. The best score {relation}.</p>"
        f"{doubts(warnings)}</div></div>"
        f'<div class="fl-card"><h3>Rank list</h3><div class="fl-ranks"><figure>'
        f"{picture(probe, 'the face of the probe')}<figcaption>probe</figcaption></figure>"
        f"<ol>{_ranks(answer, crops)}</ol></div><p class='fl-small'>{strangers}</p></div>"
    )


def superscript(number: int) -> str:
    """Return a number in raised digits."""
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _ranks(answer: Answer, crops: Crops) -> str:
    """Return the ten best: face, name, score as a bar from 0 to 1 with the threshold marked."""
    mark = f'<i style="left:{100 * min(max(answer.threshold, 0), 1):.1f}%"></i>'
    return "".join(
        f"<li>{face(person, crops)}<span>{html.escape(person)}</span>"
        f'<div class="fl-bar"><b style="width:{100 * min(max(score, 0), 1):.1f}%"></b>{mark}</div>'
        f"<data>{score:.3f}{' ✔' if score >= answer.threshold else ''}</data></li>"
        for person, score in answer.ranks[:10]
    )


def curve_card(found: Search, dir_at: float, far_at: float) -> str:
    """Return DIR and FPIR at the threshold, and the number of probes behind the curve."""
    mated, unmated = int(found.mated.sum()), int((~found.mated).sum())
    return (
        f'<div class="fl-card" role="status"><h3>Leave-one-out test of the gallery</h3><p>Each photo in '
        f"turn is the probe. {mated} probes show a person with another photo (mated, enrolled); {unmated} "
        f"show a person with none (unmated, unenrolled). At this threshold {DIR}, rank 1, is "
        f"<b>{dir_at:.0%}</b> of mated probes, and {FPIR} is <b>{far_at:.0%}</b> of unmated probes.</p>"
        f'<p class="fl-small">Few probes give coarse steps: one of {unmated} unmated probes is '
        f"{1 / unmated:.0%}.</p></div>"
    )
