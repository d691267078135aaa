"""Chart: a plotly figure on the page that keeps its zoom, follows the theme and loads nothing from the
internet.

gr.Plot rebuilds its figure on every update and stays white in dark mode. This component serves plotly's own
script from the installed package and redraws in place with `Plotly.react`. Other scripts of the page may send
its element a `frame` event with the number of one of the figure's frames (the last is shown first), and
receive `drawn` from it, or from the document, after every drawing.
"""

import json
import re
from pathlib import Path

import gradio as gr
import plotly
import plotly.graph_objects as go

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
CONFIG = {  # whatever could send a chart away is off, and has nowhere to go
    "responsive": True,
    "displaylogo": False,
    "displayModeBar": False,  # chart.js has quieter buttons
    "modeBarButtonsToRemove": ["toImage", "sendChartToCloud"],
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "topojsonURL": "/",  # of maps of the earth, which would be fetched
}
PLOTLY_URL = f"gradio_api/file={PLOTLY_JS}"  # relative: the page may lie below a path, as in JupyterHub
HEAD = f'<link rel="preload" as="script" href="{PLOTLY_URL}">'  # of the page: fetched while it is built

PANEL = (Path(__file__).parent.parent / "chart.js").read_text(encoding="utf-8")
DRAW = """
const plot = element.querySelector('.facelab-chart');
PANEL
const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
const draw = () => {
  if (!window.Plotly) return;
  // With a <base>, Plotly names its patterns by the page's whole address, and links.py changes that address.
  document.querySelector('base[href="./"]')?.remove();
  plot.style.display = panel.style.display = props.value ? '' : 'none';
  if (!props.value) return Plotly.purge(plot);
  const figure = JSON.parse(props.value);
  const layout = figure.layout;
  const axis = {gridcolor: css('--border-color-primary'), linecolor: css('--border-color-primary')};
  layout.paper_bgcolor = layout.plot_bgcolor = 'rgba(0,0,0,0)';
  layout.font = {...layout.font, color: css('--body-text-color'), family: css('--font')};
  for (const key of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    layout[key] = {...axis, ...layout[key]};
  }
  for (const scene of Object.keys(layout).filter((key) => /^scene/.test(key))) {
    for (const side of ['xaxis', 'yaxis', 'zaxis']) layout[scene][side] = {...axis, ...layout[scene][side]};
  }
  const frame = figure.frames?.[Math.min(plot.frame ?? Infinity, figure.frames.length - 1)];
  frame?.data.forEach((change, i) => Object.assign(figure.data[i], change));
  Object.assign(layout, frame?.layout);
  const legendShown = frameOf(layout, figure.data.length);
  layout.autosize = true;
  plot.style.height = layout.height ? `${layout.height}px` : '';  // a resize takes the element's
  const config = CONFIG;
  const drawn = new CustomEvent('drawn', {bubbles: true});
  Plotly.react(plot, figure.data, layout, config).then(() => {
    writeLegend(legendShown);
    plot.dispatchEvent(drawn);
  });
};
plot.addEventListener('frame', (event) => { plot.frame = event.detail; draw(); });
const whenReady = () => {
  if (!window.Plotly) return setTimeout(whenReady, 30);
  const turn = () => new Promise((next) => setTimeout(next));  // the page is painted between two charts
  window.facelabCharts = (window.facelabCharts ?? Promise.resolve()).then(draw, draw).then(turn);
};
watch('value', draw);
new MutationObserver(draw).observe(document.body, {attributes: true, attributeFilter: ['class']});
new ResizeObserver(() => plot.data && plot.offsetParent && Plotly.Plots.resize(plot)).observe(plot);
whenReady();
""".replace("CONFIG", json.dumps(CONFIG)).replace("PANEL", PANEL)
TOOLS = "".join(
    f'<button type="button" data-do="{do}" aria-label="{says}">{text}</button>'
    for do, text, says in (
        ("reset", "Reset", "Reset the view of this chart"),
        ("png", "PNG", "Save this chart as PNG"),
        ("svg", "SVG", "Save this chart as SVG"),
        ("csv", "CSV", "Save the values of this chart as CSV"),
    )
)


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
            f'{title or shortened(label)}</span><span class="fl-chart-tools">{TOOLS}</span>'
            f'<span class="fl-legend"></span></figcaption>{self.plot}</figure>',
            css_template=".facelab-chart { width: 100%; min-height: 300px; }",
            js_on_load=DRAW,
            head=f'<script src="{PLOTLY_URL}"></script>',  # it runs late: it takes long
            label=label,
            elem_id=elem_id,
            render=render,
        )

    def postprocess(self, value: go.Figure | str | None) -> str | None:
        """Convert a figure to JSON for the script."""
        return value.to_json() if isinstance(value, go.Figure) else value


def serve_plotly() -> None:
    """Serve plotly's script to the page, and nothing else of its package."""
    gr.set_static_paths([PLOTLY_JS])
