"""Start: a first look, and the lecture as cards in its order, each a link into the page with its state."""

import functools
import html

import gradio as gr
import numpy as np

from facelab.lessons.lecture import Card, cards
from facelab.ui.links import Controls
from facelab.ui.widgets.cards import picture
from facelab.ui.widgets.examples import sheet_of_people

TITLE = "Start"
LEAD = (
    "One network for two tasks: **classification** names one of K known identities; **verification** decides "
    "whether two photos show one person. Follow the lecture card by card, or open any tab."
)
NOBODY = "Synthetic (rendered) identities: none of these people exists."


def build() -> Controls:
    """Lay out the contact sheet and the cards; the tab has no settings."""
    gr.HTML(first_look(), elem_id="first-look", padding=False)
    gr.HTML(lecture(), elem_id="lecture", padding=False)
    return {}


@functools.cache
def first_look() -> str:
    """Return what the page is about, beside a contact sheet of rendered people."""
    lead = LEAD.replace("**", "\0").split("\0")
    words = "".join(f"<b>{part}</b>" if i % 2 else part for i, part in enumerate(lead))
    sheet = picture(
        np.asarray(sheet_of_people()), "twelve synthetic identities, varied in skin, hair, beard and pose"
    )
    return (
        f'<section class="fl-first"><div><h2>Faces, embeddings, decisions</h2><p class="fl-lead">{words}</p>'
        f"<p>{go('?tab=start&amp;at=lecture-1', 'Start the lecture', 'fl-primary')} "
        f"{go('?tab=compare', 'Compare two photos')}</p></div>"
        f'<figure>{sheet}<figcaption class="fl-small">{NOBODY}</figcaption></figure></section>'
    )


def go(link: str, text: str, kind: str = "") -> str:
    """Return a link that `shell.js` follows without loading the page again."""
    return f'<a class="fl-go {kind}" href="{link}">{html.escape(text)}</a>'


def lecture() -> str:
    """Return the cards, a list in the lecture's order."""
    return f'<ol class="fl-lecture">{"".join(map(card, cards()))}</ol>'


def card(one: Card) -> str:
    """Return one card: topic, idea, action, expected figure, link."""
    return (
        f'<li class="fl-topic" id="lecture-{one.number}" data-card="{one.number}">'
        f'<p class="fl-small">Topic {one.topic}<span class="fl-seen-mark"></span></p>'
        f"<h3>{html.escape(one.title)}</h3><p>{html.escape(one.idea)}</p>"
        f"<p><b>Do:</b> {html.escape(one.action)}</p><p><b>Expect:</b> {html.escape(one.expect)}.</p>"
        f"{go(html.escape(one.link), f'Open: {one.title}')}</li>"
    )
