"""Pieces of HTML for galleries: who is enrolled, two answers to one photo, the ranks, a curve in words."""

import html
import unicodedata
from collections.abc import Sequence

import numpy as np

from facelab.metrics.identification import Search
from facelab.recognition.gallery import Answer, Gallery
from facelab.ui.widgets.cards import doubts, picture

SHOWN = 24  # people on the page; the others are counted
JOINER = "\N{ZERO WIDTH JOINER}"
Crops = dict[str, np.ndarray]


def gallery_card(gallery: Gallery, crops: Crops, own: bool = False) -> str:
    """Everyone enrolled, with a face where there is one (an imported gallery has none).

    Args:
        gallery: who is in it.
        crops: a face of those that have one.
        own: whether a visitor made it, so that it is lost with the page (see page.js).
    """
    counts = gallery.counts()
    if not counts:
        return (
            f'<div class="fl-card" role="status"><h3>The gallery is empty</h3><p>Nobody is enrolled under '
            f"{html.escape(gallery.model)}. Enroll someone at the bottom of this page: a name and one photo "
            f"are enough, and two photos let the gallery test itself.</p></div>"
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
        f'<p class="fl-small">Vectors of {html.escape(gallery.model)}. Another model embeds the enrolled '
        f"faces again, because vectors of two models cannot be compared; what was imported stays with its "
        f"model.</p></div>"
    )


def face(person: str, crops: Crops) -> str:
    """A person's first face, or their initial."""
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
    """Whether a character belongs to the one before it: an accent, a variant of it, or a skin tone."""
    return unicodedata.category(letter).startswith("M") or "\U0001f3fb" <= letter <= "\U0001f3ff"


def answers_card(answer: Answer, probe: np.ndarray, crops: Crops, warnings: Sequence[str] = ()) -> str:
    """The two answers side by side, what speaks against their rates, and everyone's score below them."""
    nearest, score = answer.ranks[0]
    known = answer.open_set is not None
    relation = f"{score:.3f} {'reaches' if known else 'stays below'} the threshold {answer.threshold:.3f}"
    verdict = f"✔ {html.escape(nearest)}" if known else "? Unknown"
    strangers = (
        f"One comparison lets 1 in {1 / answer.far:,.0f} strangers pass. A stranger here is compared with "
        f"{answer.photos} photo{'s' if answer.photos > 1 else ''} and is taken for someone in about "
        f"{answer.stranger_accepted:.1%} of cases: large galleries need stricter thresholds."
    )
    return (
        f'<div class="fl-two"><div class="fl-card fl-closed" role="status"><h2>→ {html.escape(nearest)}</h2>'
        f"<p><b>Closed set:</b> must name somebody, so it names the nearest of {len(answer.ranks)}, "
        f"however far.</p></div>"
        f'<div class="fl-card {"fl-same" if known else "fl-different"}" role="status"><h2>{verdict}</h2>'
        f"<p><b>Open set:</b> may say “unknown”. The best score {relation}.</p>"
        f"{doubts(warnings)}</div></div>"
        f'<div class="fl-card"><h3>Rank list</h3><div class="fl-ranks"><figure>'
        f"{picture(probe, 'the face that is asked about')}<figcaption>asked about</figcaption></figure>"
        f"<ol>{_ranks(answer, crops)}</ol></div><p class='fl-small'>{strangers}</p></div>"
    )


def _ranks(answer: Answer, crops: Crops) -> str:
    """The ten best: face, name, score as a bar from 0 to 1 with the threshold marked on it."""
    mark = f'<i style="left:{100 * min(max(answer.threshold, 0), 1):.1f}%"></i>'
    return "".join(
        f"<li>{face(person, crops)}<span>{html.escape(person)}</span>"
        f'<div class="fl-bar"><b style="width:{100 * min(max(score, 0), 1):.1f}%"></b>{mark}</div>'
        f"<data>{score:.3f}{' ✔' if score >= answer.threshold else ''}</data></li>"
        for person, score in answer.ranks[:10]
    )


def curve_card(found: Search, dir_at: float, far_at: float) -> str:
    """What the curve was made of, and where the threshold stands on it."""
    mated, unmated = int(found.mated.sum()), int((~found.mated).sum())
    return (
        f'<div class="fl-card" role="status"><h3>How good is this gallery?</h3><p>Each photo in turn is '
        f"taken out and asked about. {mated} photos of people who have another are found again (mated "
        f"probes); {unmated} of people who have no other have become strangers (unmated probes). At this "
        f"threshold <b>{dir_at:.0%}</b> of the known are named rightly (detection and identification rate, "
        f"DIR) and <b>{far_at:.0%}</b> of the strangers are taken for someone (FAR of the search).</p>"
        f'<p class="fl-small">So few probes make coarse steps: one of {unmated} strangers is '
        f"{1 / unmated:.0%}.</p></div>"
    )
