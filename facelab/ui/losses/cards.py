"""What the sections of the Losses tab share: where a loss comes from."""

import html

from facelab.lessons.loss_curves import papers
from facelab.plots.losses import NAMES

CALLED = NAMES | {"norm_softmax": "softmax on cosines, NormFace"}


def papers_card(*names: str) -> str:
    """One line a loss: name, year, idea in a sentence, and a link to the paper."""
    rows = "".join(
        f"<li><b>{html.escape(CALLED.get(name, name))}</b> ({loss.year}). {html.escape(loss.idea)} "
        f'<a href="{html.escape(loss.paper)}" target="_blank" rel="noopener">paper</a></li>'
        for name, loss in papers(*names).items()
    )
    return f'<div class="fl-card"><h3>Where they come from</h3><ul>{rows}</ul></div>'
