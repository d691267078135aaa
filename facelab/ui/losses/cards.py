"""Build the card of papers that the sections of the Losses tab share."""

import html

from facelab.lessons.loss_curves import papers
from facelab.plots.losses import NAMES

CALLED = NAMES | {"norm_softmax": "softmax on cosines, NormFace"}


def papers_card(*names: str) -> str:
    """Return one line per loss: name, year, idea in a sentence, and a link to the paper."""
    rows = "".join(
        f"<li><b>{html.escape(CALLED.get(name, name))}</b> ({loss.year}). {html.escape(loss.idea)} "
        f'<a href="{html.escape(loss.paper)}" target="_blank" rel="noreferrer">paper</a></li>'
        for name, loss in papers(*names).items()
    )
    return f'<div class="fl-card"><h3>Papers</h3><ul>{rows}</ul></div>'
