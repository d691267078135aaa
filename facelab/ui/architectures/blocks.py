"""Draw a network's block beside its parent's: the channels as a profile, each layer as wide as its channels.

The layers are read from the modules (`facelab.lessons.block_diagram`). A grouped convolution is cut into
strips, a gate is a dashed hourglass, and the shortcut is a line around the branch.
"""

import html

from facelab.lessons.block_diagram import Block, Layer, block_of
from facelab.models.backbones import BACKBONES

LEFT, WIDE, TEXT, WIDTH = 40, 150, 206, 500  # px: profile from LEFT, WIDE at most; labels from TEXT
TOP, ROW, GAP, END = 34, 40, 14, 56
STRIPS = 12  # of a depthwise convolution, which has more groups than could be seen
STYLE = """
.fl-blocks { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr));
  gap: .4rem 1rem; } .fl-blocks figure { margin: 0; min-width: 0; }
.fl-blocks figcaption { line-height: 1.4; } .fl-blocks svg { width: 100%; max-width: 560px; display: block; }
.fl-blocks text { font-size: 12.5px; fill: var(--body-text-color); font-variant-numeric: tabular-nums; }
.fl-blocks .fl-quiet { font-size: 11px; opacity: .8; } .fl-blocks .fl-number { font-weight: 700; }
.fl-blocks polygon { fill: rgba(0, 114, 178, .3); stroke: #0072B2; stroke-width: 1.5; }
.fl-blocks .fl-gate { fill: rgba(230, 159, 0, .3); stroke: #b87d00; stroke-dasharray: 5 3; }
.fl-blocks line, .fl-blocks path { stroke: var(--body-text-color); stroke-width: 1.5; fill: none; }
.fl-blocks .fl-cut { stroke: #0072B2; stroke-width: 1; } .fl-blocks circle { stroke: var(--body-text-color);
  fill: var(--background-fill-primary); stroke-width: 1.5; }
@media (max-width: 640px) {  /* as large as it can be read; it scrolls */
  .fl-blocks figure { overflow-x: auto; contain: inline-size; } .fl-blocks svg { min-width: 440px; } }
"""


def blocks_card(name: str) -> str:
    """Return the block of a network, and of its parent where the two differ."""
    parent = BACKBONES[name].parent
    shown = [name] if parent is None else [parent, name]
    widest = max(_channels(block_of(each)) for each in shown)
    figures = "".join(_figure(each, block_of(each), widest) for each in shown)
    return (
        f'<div class="fl-card"><h3>{html.escape(_title(name))}</h3><div class="fl-blocks">{figures}</div>'
        '<p class="fl-small">Drawn from the modules of one block: width = channels, to one scale; strips = '
        "groups of a convolution; dashed = a gate computed from the means of all channels; the line at the "
        "side is the shortcut. Bold: channels.</p></div>"
    )


def _title(name: str) -> str:
    """Return what the block is, and what the parent's was if that differs."""
    parent, kind = BACKBONES[name].parent, block_of(name).kind
    if parent is None or block_of(parent).kind == kind:
        return f"Block of {name}: {kind}"
    return f"Block of {name}: {kind}; {parent} has a {block_of(parent).kind}"


def _channels(block: Block) -> int:
    return max(max(layer.before, layer.after) for layer in block.layers)


def _figure(name: str, block: Block, widest: int) -> str:
    said = "; ".join(f"{layer.before} to {layer.after} channels by {_label(layer)}" for layer in block.layers)
    ending = f"; then the {block.join} with the {_beside(block)}" if block.join else ""
    words = html.escape(f"{name}, {block.kind}: {said}{ending}")
    bottom = TOP + len(block.layers) * (ROW + GAP)
    rows = "".join(_layer(layer, TOP + i * (ROW + GAP), widest) for i, layer in enumerate(block.layers))
    return (
        f"<figure tabindex='0' role='group' aria-label='{name}'><figcaption><b>{name}</b>, "
        f"{block.place}: {block.kind}, {block.parameters:,} parameters</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {bottom + END}" role="img" aria-label="{words}">'
        f"{_entry(block)}{rows}{_ending(block, bottom)}</svg></figure>"
    )


def _entry(block: Block) -> str:
    """Draw the input, and what stands before the first layer."""
    first, center = block.layers[0], LEFT + WIDE / 2
    before = f" → {', '.join(first.first)}" if first.first else ""
    return (
        f'<line x1="{center}" y1="10" x2="{center}" y2="{TOP}"/>'
        f'<text x="{TEXT}" y="20"><tspan class="fl-number">{first.before:,}</tspan> input{before}</text>'
    )


def _layer(layer: Layer, top: float, widest: int) -> str:
    """Draw a layer as a trapezoid from its input's width to its output's; its name and output beside it."""
    center, bottom = LEFT + WIDE / 2, top + ROW
    a, b, c = (max(6.0, WIDE * n / widest) / 2 for n in (layer.before, layer.after, layer.squeezed))
    waist, middle = ([(c, (top + bottom) / 2)] if layer.squeezed else []), layer.squeezed and "fl-gate"
    right = [(a, top), *waist, (b, bottom)]
    points = [(center + x, y) for x, y in right] + [(center - x, y) for x, y in reversed(right)]
    shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    strips = min(layer.groups, STRIPS)
    cuts = "".join(
        f'<line class="fl-cut" x1="{center - a + 2 * a * i / strips:.1f}" y1="{top}" '
        f'x2="{center - b + 2 * b * i / strips:.1f}" y2="{bottom}"/>'
        for i in range(1, strips)
    )
    then = f'<text class="fl-quiet" x="{TEXT}" y="{top + 36}">{html.escape(_then(layer))}</text>'
    return (
        f'<polygon class="{middle or ""}" points="{shape}"/>{cuts}'
        f'<line x1="{center}" y1="{bottom}" x2="{center}" y2="{bottom + GAP}"/>'
        f'<text x="{TEXT}" y="{top + 18}"><tspan class="fl-number">{layer.after:,}</tspan> '
        f"{html.escape(_label(layer))}</text>{then}"
    )


def _label(layer: Layer) -> str:
    return f"{layer.name} through {layer.squeezed:,}" if layer.squeezed else layer.name


def _then(layer: Layer) -> str:
    return ", ".join((*layer.then, f"{layer.parameters:,} parameters"))


def _beside(block: Block) -> str:
    """Return the shortcut in words."""
    return " and ".join(layer.name for layer in block.shortcut or ()) or "identity"


def _ending(block: Block, bottom: float) -> str:
    """Draw the join, the shortcut to it, and the activation behind it."""
    center, out = LEFT + WIDE / 2, block.layers[-1].after
    if not block.join:
        return f'<text x="{TEXT}" y="{bottom + 12}"><tspan class="fl-number">{out:,}</tspan> output</text>'
    sign, total = ("+", out) if block.join == "sum" else ("‖", block.layers[0].before + out)
    y = bottom + 12
    words = "sum with the" if block.join == "sum" else f"{block.layers[0].before:,} + {out:,}, after the"
    last = f", {block.last}" if block.last else ""
    return (
        f'<path d="M{center} 18 H12 V{y} H{center - 12}"/><circle cx="{center}" cy="{y}" r="11"/>'
        f'<text x="{center}" y="{y + 4.5}" text-anchor="middle">{sign}</text>'
        f'<line x1="{center}" y1="{y + 11}" x2="{center}" y2="{y + 30}"/>'
        f'<text x="{TEXT}" y="{y + 4}"><tspan class="fl-number">{total:,}</tspan> '
        f"{words} {html.escape(_beside(block))}{last}</text>"
    )
