"""Build the Regularization tab's HTML: masked maps, figures of trained networks, augmented photos."""

import html

import numpy as np

from facelab.lessons.dropout_masks import Dropped, Effect
from facelab.ui.widgets.cards import picture
from facelab.ui.widgets.sheet import sheet

STYLE = """
.fl-sheet { width: 100%; max-width: 356px; image-rendering: pixelated; border-radius: 6px; display: block; }
.fl-kinds { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.fl-kinds figure { margin: 0; } .fl-kinds figcaption { line-height: 1.4; margin-bottom: .35rem; }
.fl-two-by-two { grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.fl-kinds h3 { margin: 0; } .fl-gallery img { border-radius: 6px; max-width: 100%; display: block; }
"""
WORDS = {
    "Dropout": "single values",
    "SpatialDropout": "whole channels",
    "DropBlock": "square regions",
}
NAMES = {
    "flip": "flip: mirrored, half of the time",
    "rotate": "rotate",
    "zoom": "zoom",
    "shift": "shift: a random crop",
    "jitter": "brightness and contrast",
    "saturation": "saturation",
    "gray": "gray, a share of the time",
    "random_erasing": "erase, a share of the time",
}


def maps_card(maps: np.ndarray, dropped: dict[str, Dropped], rate: float) -> str:
    """Return the maps unmasked and under three kinds of dropout, with their drop rates.

    Args:
        maps: (K, h, w), the channels shown.
        dropped: of these maps, by kind.
        rate: the drop rate.
    """
    columns = 3
    whole = (
        f"<figure><figcaption><h3>No dropout</h3>{len(maps)} channels of {maps.shape[1]}×{maps.shape[2]}"
        f"</figcaption>{sheet(maps, 'feature maps without dropout', columns=columns)}</figure>"
    )
    figures = "".join(_kind(name, maps, found, rate, columns) for name, found in dropped.items())
    return (
        f'<div class="fl-card" role="status"><div class="fl-kinds fl-two-by-two">{whole}{figures}</div>'
        f'<p class="fl-small">Hatched: dropped (set to zero); the other values are scaled up, so the mean '
        f"is unchanged. R²: variance of dropped values explained by the mean of their visible "
        f"neighbors.</p></div>"
    )


def _kind(name: str, maps: np.ndarray, found: Dropped, rate: float, columns: int) -> str:
    told = "–" if np.isnan(found.told) else f"{found.told:.0%}"
    mean, spread = found.shares.mean(), found.shares.std()
    alt = f"the same maps under {name}, {found.shares[0]:.1%} dropped"
    return (
        f"<figure><figcaption><h3>{name}: {WORDS[name]}</h3>drop rate {rate:.0%}; dropped in this "
        f"sample <b>{found.shares[0]:.1%}</b>; in {len(found.shares)} samples <b>{mean:.1%}</b> ± "
        f"{spread:.1%} (SD); explained by neighbors (R²) <b>{told}</b></figcaption>"
        f"{sheet(maps, alt, ~found.keep_mask, columns)}</figure>"
    )


def effects_card(rows: list[Effect]) -> str:
    """Return the figures of one network per regularizer, and the missing checkpoints."""
    here = [row for row in rows if row.measured]
    missing = [row.name for row in rows if not row.measured]
    body = "".join(
        f'<tr><th scope="row">{html.escape(row.name)}</th><td>{html.escape(row.change or "nothing")}</td>'
        f"{''.join(f'<td>{_rate(value)}</td>' for value in (row.top_1, row.ece, row.eer, row.lfw))}</tr>"
        for row in here
    )
    heads = ("training", "change", "top-1 accuracy", "ECE", "EER, unseen identities", "LFW accuracy")
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    table = (
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='Effect of each regularizer'>"
        f"<table class='fl-table'><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
        if here
        else ""
    )
    lack = (
        f"<p>Missing: {', '.join(f'<code>{html.escape(name)}</code>' for name in missing)}. Train one "
        f"with <code>python -m facelab train {html.escape(missing[0])} --data CROPS --out "
        f"checkpoints/{html.escape(missing[0])}.safetensors</code> and start the page again.</p>"
        if missing
        else ""
    )
    return (
        f'<div class="fl-card"><h3>Effect on trained networks</h3>{table}{lack}'
        f'<p class="fl-small">One network and one seed each, trained on the same photos: small differences '
        f"may be chance. Top-1 accuracy and ECE: all held-out photos of training identities (Calibration "
        f"uses half of them). EER: unseen identities, without the mirrored crop of other tabs.</p></div>"
    )


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def gallery_card(crop: np.ndarray, rows: dict[str, np.ndarray]) -> str:
    """Return the crop, then a strip of variants for each augmentation; a column is one sample."""
    strips = "".join(_strip(NAMES.get(name, name), variants) for name, variants in rows.items())
    return (
        f'<div class="fl-card fl-gallery" role="status"><figure><figcaption><b>original</b></figcaption>'
        f'{picture(crop, "the aligned face")}</figure><div class="fl-kinds">{strips}</div>'
        f'<p class="fl-small">A column is one random sample; “all together” uses the same samples. In '
        f"training every photo gets a new sample in every epoch.</p></div>"
    )


def _strip(name: str, variants: np.ndarray) -> str:
    gap = np.full((variants.shape[1], 4, 3), 127, np.uint8)
    parts = [part for variant in variants for part in (variant, gap)][:-1]
    alt = f"{len(variants)} variants: {name}"
    return (
        f"<figure><figcaption><b>{html.escape(name)}</b></figcaption>"
        f"{picture(np.concatenate(parts, 1), alt)}</figure>"
    )
