"""What surrounds the tabs: the bar with the page's name, the pipeline of a face, and what comes next.

`shell.js` follows the links without loading the page again, and lights the pipeline's parts of the open tab.
"""

import html
import json

from facelab.lessons.lecture import cards

MARK = (  # a face in the corners of a detector's box
    '<svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" fill="none" stroke="currentColor" '
    'stroke-width="2" stroke-linecap="round"><path d="M2 7V2h5M17 2h5v5M22 17v5h-5M7 22H2v-5"/>'
    '<circle cx="9" cy="10" r=".6"/><circle cx="15" cy="10" r=".6"/><path d="M8 15q4 3 8 0"/></svg>'
)
STAGES = (  # name, where a click leads, the tabs that are about it, group
    ("photo", "?tab=compare&at=photo-a", "compare identify", ""),
    ("crop", "?tab=regularization&at=variants", "regularization", ""),
    ("backbone", "?tab=architectures&at=tree-chart", "architectures regularization transfer train", ""),
    ("neck", "?tab=architectures&at=meter", "architectures train", ""),
    ("embedding", "?tab=embedding-space", "embedding-space losses", ""),
    (
        "class weights",
        "?tab=losses&open=losses-margins&at=regions-chart",
        "losses transfer train",
        "training",
    ),
    ("softmax", "?tab=calibration&at=reliability-chart", "calibration losses train", "training"),
    ("cross-entropy", "?tab=calibration&at=hand-chart", "calibration train", "training"),
    ("cosine", "?tab=compare&at=chart", "compare identify embedding-space", "verification"),
    ("threshold", "?tab=identify&at=dir-chart", "compare identify", "verification"),
)
GROUPS = ("", "training", "verification")
OWN = '<a class="fl-go" href="?tab=own">Bring your own model or data</a>'


def bar(title: str, lead: str) -> str:
    """Return the bar: mark, name, the lecture's cards, Copy link and theme; gradio's tabs lie over it."""
    lessons = "".join(
        f'<li><a class="fl-item" href="{html.escape(card.link)}">{html.escape(card.title)}</a></li>'
        for card in cards()
    )
    return (
        f'<header class="fl-head"><a class="fl-brand" href="?tab=start" title="{html.escape(lead)}">{MARK}'
        f'<h1>{html.escape(title)}</h1></a><div class="fl-tools"><details class="fl-lessons">'
        f'<summary>Lessons</summary><ol aria-label="The lecture">{lessons}</ol></details>'
        f'<button type="button" data-do="copy">Copy link</button>'
        f'<button type="button" data-do="theme" aria-label="Light or dark theme" title="Light or dark theme">'
        f"◐</button></div>"
        "</header>"
    )


def pipeline() -> str:
    """Return the way of a face as links, in three groups: common, training only, verification."""
    groups = []
    for group in GROUPS:
        links = "".join(
            f'<li><a class="fl-stage" data-tabs="{tabs}" href="{html.escape(link)}">{name}</a></li>'
            for name, link, tabs, own in STAGES
            if own == group
        )
        title = f"<span>{group}</span>" if group else ""
        groups.append(f'<li class="fl-group">{title}<ol>{links}</ol></li>')
    return f'<nav class="fl-pipe" aria-label="Pipeline of a face"><ol>{"".join(groups)}</ol></nav>'


def foot(following: tuple[str, str] | None) -> str:
    """Return the foot of a tab: the next card of the lecture, or the following tab, as (link, title)."""
    link, title = following or ("?tab=start", "Start")
    return (
        f'<nav class="fl-foot" aria-label="Next">{OWN}<a class="fl-go fl-next" href="{html.escape(link)}">'
        f"Next: {html.escape(title)} →</a></nav>"
    )


def script() -> str:
    """Return the cards as `shell.js` reads them."""
    told = [{"title": card.title, "link": card.link} for card in cards()]
    packed = json.dumps(told, ensure_ascii=False).replace("</", "<\\/")
    return f"<script>window.facelabCards = {packed};</script>"
