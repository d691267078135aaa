"""Chart: a plotly figure on the page that keeps its zoom, follows the theme and loads nothing from the
internet.

gr.Plot rebuilds its figure on every update and stays white in dark mode. This component redraws in place with
`Plotly.react`, once it is displayed: by plotly's basic bundle, which stands beside it, or by the whole of
plotly from the installed package, for a trace that the basic bundle lacks. Other scripts of the page may send
its element a `frame` event with the number of one of the figure's frames (the last is shown first), and
receive `drawn` from it, or from the document, after every drawing; the element's `library` is the plotly that
has drawn it.
"""

import json
import re
from pathlib import Path

import gradio as gr
import plotly
import plotly.graph_objects as go

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
SMALL_JS = Path(__file__).parent.parent / "plotly-basic.min.js"  # lines and bars: a quarter of plotly.min.js
CONFIG = {  # whatever could send a chart away is off, and has nowhere to go
    "responsive": True,
    "displaylogo": False,
    "displayModeBar": False,  # chart.js has quieter buttons
    "modeBarButtonsToRemove": ["toImage", "sendChartToCloud"],
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "topojsonURL": "/",  # of maps of the earth, which would be fetched
}
LIBRARIES = {  # relative: the page may lie below a path, as in JupyterHub
    "small": f"gradio_api/file={SMALL_JS}",
    "large": f"gradio_api/file={PLOTLY_JS}",
}
SCRIPT = (
    "".join(
        (Path(__file__).parent.parent / name).read_text(encoding="utf-8")
        for name in ("chart_words.js", "chart.js")
    )
    .replace("CONFIG", json.dumps(CONFIG))
    .replace("LIBRARIES", json.dumps(LIBRARIES))
)
HEAD = f"<script>{SCRIPT}</script>"  # of the page
DRAW = "const plot = facelabChart(element, props, watch);"  # of each chart
BUTTONS = "".join(
    f'<button type="button" data-do="{do}" aria-label="{says}"{more}>{text}</button>'
    for do, text, says, more in (
        ("table", "Table", "Table of the values of this chart", ' aria-expanded="false"'),
        ("reset", "Reset", "Reset the view of this chart", ""),
        ("png", "PNG", "PNG: save this chart", ""),
        ("svg", "SVG", "SVG: save this chart", ""),
        ("csv", "CSV", "CSV: save the values of this chart", ""),
    )
)
TOOLS = (  # one stop of the Tab key (keys.js)
    '<span class="fl-chart-bar" role="toolbar" aria-label="Chart">'
    f'<span class="fl-chart-tools">{BUTTONS}</span><span class="fl-legend"></span></span>'
)
TABLE = '<div class="fl-chart-table" role="region" tabindex="0" aria-label="Values" hidden></div>'


def shortened(label: str) -> str:
    """Return a label without what stands in parentheses or after the first comma, colon or semicolon."""
    return re.split("[,:;]", re.sub(r" \([^)]*\)", "", label))[0]


class Chart(gr.HTML):
    """A plotly figure.

    Args:
        value: the figure shown first.
        label: what a screen reader says of it, and its title where it has no other.
        elem_id: its id on the page.
        title: a shorter title, above the legend.
    """

    def __init__(
        self,
        value: go.Figure | None = None,
        label: str = "chart",
        elem_id: str | None = None,
        render: bool = True,
        title: str | None = None,
    ) -> None:
        self.plot = f'<div class="facelab-chart" role="img" aria-label="{label}"></div>'
        super().__init__(
            value,
            html_template=f'<figure class="fl-chart"><figcaption><span class="fl-chart-title">'
            f"{title or shortened(label)}</span>{TOOLS}</figcaption>{self.plot}{TABLE}</figure>",
            css_template=".facelab-chart { width: 100%; min-height: 300px; }",
            js_on_load=DRAW,
            label=label,
            elem_id=elem_id,
            render=render,
        )

    def postprocess(self, value: go.Figure | str | None) -> str | None:
        """Convert a figure to JSON for the script."""
        return value.to_json() if isinstance(value, go.Figure) else value


def serve_plotly() -> None:
    """Serve plotly's two scripts to the page, and nothing else of its package or ours."""
    gr.set_static_paths([PLOTLY_JS, SMALL_JS])
