"""Mark glossary terms in HTML: the definition shows on hover, on focus and on tap; Escape closes it."""

import functools
import html
import re

from facelab.lessons.glossary import Term, spellings


@functools.cache
def _pattern() -> re.Pattern[str]:
    """Match the longest spelling first, as a whole word."""
    longest_first = sorted(map(html.escape, spellings()), key=len, reverse=True)
    return re.compile(rf"(?<![\w@])(?:{'|'.join(map(re.escape, longest_first))})(?![\w@])")


def marked(text: str, entry: Term) -> str:
    """Return a text, HTML-escaped, as a focusable term with its definition."""
    means = html.escape(f"{entry.title}: {entry.means}.")
    return (
        f'<span class="fl-term" tabindex="0">{html.escape(text)}'
        f'<span class="fl-means" role="tooltip">{means}</span></span>'
    )


def with_terms(text: str) -> str:
    """Return a label, HTML-escaped; its first glossary term, if any, is marked."""
    escaped = html.escape(text)
    found = _pattern().search(escaped)
    if not found:
        return escaped
    spelled = html.unescape(found[0])
    return f"{escaped[: found.start()]}{marked(spelled, spellings()[spelled])}{escaped[found.end() :]}"
