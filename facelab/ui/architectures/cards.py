"""Build the Architectures tab's HTML: a network's card, its diff to its parent, the budget, the lineage."""

import html
import re
from difflib import SequenceMatcher

from facelab.lessons.code_diff import CLAIMS, RESNET, Part, block_source, changes, written
from facelab.lessons.family_tree import LIMIT, Budget, costs, lineage, paper_of, papers, scores
from facelab.models.backbones import BACKBONES
from facelab.ui.widgets.cards import figures

STYLE = """
.fl-code { margin: .4rem 0; border: 1px solid var(--border-color-primary); border-radius: 8px;
  background: var(--background-fill-secondary); }
.fl-code pre { margin: 0; padding: .5rem 0; font-size: .8rem; line-height: 1.5; white-space: pre;
  display: table; min-width: 100%; background: none; }
.fl-code span { display: block; padding: 0 .7rem; }
.fl-code .fl-new { background: rgba(0, 114, 178, .17); border-left: 4px solid #0072B2; }
.fl-code .fl-old { background: rgba(213, 94, 0, .15); border-left: 4px solid #D55E00; }
.fl-code .fl-kept { border-left: 4px solid transparent; opacity: .8; }
.fl-code b { font-weight: 800; text-decoration: underline; text-underline-offset: 2px; }
.fl-limit { position: relative; display: flex; height: 30px; border-radius: 6px; margin: 1.7rem 0 .5rem;
  border: 1px solid var(--border-color-primary); background: var(--background-fill-secondary); }
.fl-limit b { height: 100%; } .fl-limit b:nth-child(1) { background: #0072B2; }
.fl-limit b:nth-child(2) { background: repeating-linear-gradient(45deg, #56B4E9 0 6px, #9ad2f3 6px 12px); }
.fl-limit b:nth-child(3) { background: repeating-linear-gradient(90deg, #E69F00 0 3px, #f6cf7c 3px 8px); }
.fl-limit i { position: absolute; top: -6px; bottom: -6px; border-left: 3px dashed var(--body-text-color); }
.fl-limit em { position: absolute; bottom: 100%; margin-bottom: 6px; font-size: .8rem; font-style: normal;
  transform: translateX(-100%); white-space: nowrap; }
"""
MARKS = {"new": "+", "old": "−", "kept": " "}


def network_card(name: str, measured: dict[str, float]) -> str:
    """Return the idea of the paper, its change, and the cost and accuracy of the network.

    Args:
        name: in BACKBONES.
        measured: latency in milliseconds per crop of the networks that the visitor timed.
    """
    row, cost = BACKBONES[name], costs()[name]
    channels, height, width = cost.shape
    numbers = figures(
        ("parameters, backbone only", f"{cost.parameters / 1e6:.2f} M"),
        ("MACs per crop", f"{cost.macs / 1e6:,.0f} M"),
        ("activation memory, training", f"{cost.activation_bytes / 1e6:.1f} MB"),
        ("output feature map", f"{channels}×{height}×{width}"),
        ("receptive field", f"{cost.receptive_field} px"),
        ("latency, this machine", f"{measured[name]:.1f} ms" if name in measured else "–"),
        *_scores(name),
    )
    published = (
        f" With its classifier of 1,000 classes it has the published {row.published_parameters:,} parameters."
        if row.published_parameters
        else " This is our variant for 112×112 crops."
    )
    return (
        f'<div class="fl-card" role="status"><h2>{html.escape(row.family)}, {row.year}</h2>'
        f"<p>{html.escape(row.idea)} <a href='{html.escape(row.paper)}' target='_blank' rel='noreferrer'>"
        f"Paper</a></p>{_descent(name)}{numbers}"
        f'<p class="fl-small">For one 112×112 crop, without neck and head; counted, not estimated.{published}'
        f"{_timed(measured)}</p></div>"
    )


def _descent(name: str) -> str:
    row = BACKBONES[name]
    if row.parent is None:
        return f"<p><b>{name}</b> is the root of the tree.</p>"
    return f"<p><b>{name}</b> changes <b>{row.parent}</b>: {html.escape(row.change)}</p>"


def _scores(name: str) -> list[tuple[str, str]]:
    """Return LFW accuracies: of the common training recipe, and of a better one if there is any."""
    rows = scores().get(name)
    if not rows:
        return [("LFW: not trained yet", "–")]
    best = max(rows, key=lambda row: row.accuracy)
    shown = {row.name: row for row in (rows[0], best)}.values()
    return [(f"LFW, {row.name}: {row.loss}, {row.epochs} epochs", f"{row.accuracy:.1%}") for row in shown]


def _timed(measured: dict[str, float]) -> str:
    if not measured:
        return " Press the button to measure its latency."
    rows = ", ".join(f"{name} {took:.1f} ms" for name, took in measured.items())
    return (
        f" Latency measured in this visit (CPU, batch of 1, random weights, median): {rows}. Other load on "
        f"this machine increases it."
    )


def tree_list() -> str:
    """Return the family tree as a table, for those who cannot use the chart."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(paper.label)}</th><td>{paper.year}</td>'
        f"<td>{html.escape(paper.parent or '–')}</td><td>{html.escape(paper.change or paper.idea)}</td></tr>"
        for paper in papers().values()
    )
    return (
        f'<details class="fl-more"><summary>Family tree as a table</summary>'
        f"<div class='fl-scroll' tabindex='0' role='region' aria-label='The family tree as a table'>"
        f"<table class='fl-table'><thead><tr><th scope='col'>paper</th><th scope='col'>year</th>"
        f"<th scope='col'>changes</th><th scope='col'>how</th></tr></thead><tbody>{rows}</tbody></table>"
        f"</div></details>"
    )


def code_card(name: str) -> str:
    """Return the number of changed lines, the lecture's number where there is one, and the diff."""
    parent, parts = BACKBONES[name].parent, changes(name)
    count = sum(part.written for part in parts)
    lines = f"{count} line{'s' if count != 1 else ''}"
    title = f"{lines} of code make {name} out of {parent}" if parent else f"{name} in {lines} of code"
    diffs = "".join(_part(part, name) for part in parts)
    claim = _claim(name)
    return (
        f'<div class="fl-card"><h3>{html.escape(title)}</h3>{claim}'
        f'<p class="fl-small">Without comments and docstrings, one statement per line. <b>+</b> added, '
        f"<b>−</b> removed, underlined: changed within a line. Renaming alone does not count. "
        f"Lineage: {' → '.join(map(html.escape, lineage(paper_of(name).label)))}.</p>{diffs}"
        f'<details class="fl-more"><summary>Source code of the block</summary>'
        f'<div class="fl-code fl-scroll" tabindex="0" role="region" aria-label="Source of the block">'
        f"<pre>{_plain(block_source(name))}</pre></div></details></div>"
    )


def _claim(name: str) -> str:
    """Return the lecture's number next to the measured one, for its three papers and their descendants."""
    family = BACKBONES[name].family
    claimed = next((other for other in CLAIMS if BACKBONES[other].family == family), None)
    if claimed is None:
        return ""
    return (
        f"<p>Lecture: <b>about {CLAIMS[claimed]} changed lines</b> of ResNet. Counted here, "
        f"{claimed} against {RESNET}: <b>{written(claimed, RESNET)}</b>.</p>"
    )


def _part(part: Part, name: str) -> str:
    row = BACKBONES[name]
    role = {row.block.__name__: "the block", row.build.__name__: "the network"}.get(part.name)
    state = "new" if not part.before else "changed"
    heading = f"{role or 'other'}: {part.name}, {state}"
    return (
        f"<p><b>{html.escape(heading)}</b></p>"
        f'<div class="fl-code fl-scroll" tabindex="0" role="region" aria-label="{html.escape(heading)}">'
        f"<pre>{diff_lines(part.before, part.after)}</pre></div>"
    )


def diff_lines(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """Return both versions line by line as escaped HTML; in a replaced line, mark the words that differ."""
    out = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            out += [_line("kept", html.escape(line)) for line in before[a:b]]
            continue
        pairs = list(zip(before[a:b], after[c:d]))
        old = [_words(new, line) for line, new in pairs] + list(map(html.escape, before[a + len(pairs) : b]))
        new = [_words(line, new) for line, new in pairs] + list(map(html.escape, after[c + len(pairs) : d]))
        out += [_line("old", line) for line in old] + [_line("new", line) for line in new]
    return "".join(out)


def _words(other: str, line: str) -> str:
    """Return a line with the words in bold that the other line does not have."""
    a, b = (re.findall(r"\w+|\s+|[^\w\s]", text) for text in (other, line))
    out = []
    for tag, _, _, c, d in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        text = html.escape("".join(b[c:d]))
        out.append(text if tag == "equal" or not text else f"<b>{text}</b>")
    return "".join(out)


def _line(kind: str, content: str) -> str:
    return f'<span class="fl-{kind}">{MARKS[kind]} {content}</span>'


def _plain(source: str) -> str:
    return "".join(_line("kept", html.escape(line)) for line in source.rstrip().splitlines())


def budget_card(found: Budget) -> str:
    """Return backbone, neck and head as one bar with the homework's limit, and whether they fit."""
    whole = max(found.total, LIMIT) * 1.03
    parts = (("backbone", found.backbone), ("neck", found.neck), ("head", found.head))
    bars = "".join(f'<b style="width:{100 * count / whole:.2f}%"></b>' for _, count in parts)
    counts = (("total", found.total), *parts)
    fits = found.total <= LIMIT
    left = abs(LIMIT - found.total) / 1e6
    ways = ("choose a smaller network", "pool the feature map, or lower D", "lower D or K")
    advice = max(zip(ways, (count for _, count in parts)), key=lambda way: way[1])
    verdict = f"✔ Fits: {left:.2f} M left" if fits else f"✖ Too large by {left:.2f} M: {advice[0]}"
    limit = f"left:{100 * LIMIT / whole:.2f}%"
    return (
        f'<div class="fl-card fl-{"same" if fits else "different"}" role="status"><h3>{verdict}</h3>'
        f'<div class="fl-limit" aria-hidden="true">{bars}<i style="{limit}"></i>'
        f'<em style="{limit}">limit 30 M</em></div>'
        f"{figures(*((name, f'{count / 1e6:.2f} M') for name, count in counts))}</div>"
    )


def train_link(name: str) -> str:
    """Return a link that opens the Train tab with this network, or with its family's compact member."""
    family = BACKBONES[name].family
    compact = next(n for n, row in BACKBONES.items() if row.family == family and n.endswith("_face"))
    return (
        f'<p class="fl-small">Train the compact member of this family: <a class="fl-go" '
        f'href="?tab=train&amp;backbone={compact}&amp;at=train-run">{compact}</a></p>'
    )
