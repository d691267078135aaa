"""What the page is made of names no place outside, but papers, and offers nothing that sends."""

import re
from pathlib import Path

import gradio as gr
import pytest
from gradio.components import Component

from facelab.models.backbones import BACKBONES
from facelab.models.losses import LOSSES
from facelab.ui import serve
from facelab.ui.opening import Opening
from facelab.ui.uploads import Guarded
from facelab.ui.widgets.chart import CONFIG, DRAW, PLOTLY_JS, SCRIPT, SMALL_JS, Chart
from facelab.ui.widgets.photo_input import PhotoInput

ROOT = Path(__file__).parents[2]
PAPERS = {row.paper for row in (*BACKBONES.values(), *LOSSES.values())}


@pytest.fixture(scope="module")
def app(whole_page):
    return whole_page[0]


def test_every_chart_is_told_to_send_nothing(app):
    """Of plotly's settings, each that names a place or sends is off; a new version may add some."""
    script = PLOTLY_JS.read_text()
    versions = [re.search(r"v(\d+\.\d+\.\d+)", path.read_text()[:100])[1] for path in (PLOTLY_JS, SMALL_JS)]
    assert versions[0] == versions[1], "plotly's basic bundle has to be that of the installed plotly"
    start = script.index("{staticPlot:{")
    settings = script[start : script.index(",locales:", start)]
    places = set(re.findall(r"(\w+):\{valType:\"\w+\"[^{}]*dflt:\"https?:", settings))
    sending = set(
        re.findall(r"\b(\w*(?:[Cc]loud|[Ss]end|[Ss]tudio|[Ss]hare|[Ll]ink)\w*):\{valType", settings)
    )
    assert places == {"plotlyServerURL", "topojsonURL"} and sending == {"showSendToCloud"}
    assert not any(CONFIG[name] for name in sending | {"displaylogo"})
    assert not any("://" in str(CONFIG[name]) for name in places)
    charts = [block for block in app.blocks.values() if isinstance(block, Chart)]
    assert len(charts) > 10 and all(chart.js_on_load.startswith(DRAW) for chart in charts)
    ours = [*(ROOT / "facelab").rglob("*.py"), *(ROOT / "facelab/ui").glob("*.js")]
    drawing = [path for path in ours if path != SMALL_JS and "library.react(" in path.read_text()]
    assert drawing == [ROOT / "facelab/ui/chart.js"] and SCRIPT.count("library.react(plot, ") == 1
    assert "newPlot" not in SCRIPT and ", layout, {" in SCRIPT
    assert not [block for block in app.blocks.values() if isinstance(block, gr.Plot)]


def test_components_share_nothing_and_have_no_functions_for_visitors(app):
    for block in app.blocks.values():
        buttons = getattr(block, "buttons", None) or []
        assert "share" not in buttons, block
        if isinstance(block, Component):
            assert not block.server_fns, f"{block}: anybody can call them"
        if isinstance(block, gr.Image):
            assert isinstance(block, PhotoInput)
    assert isinstance(app, Guarded)
    kinds = (
        gr.FileExplorer,
        gr.UploadButton,
        gr.DownloadButton,
        gr.DeepLinkButton,
        gr.LoginButton,
        gr.Gallery,
    )
    assert not [block for block in app.blocks.values() if isinstance(block, kinds)]


def test_the_pages_own_texts_name_no_place_outside_but_papers():
    own = re.compile(r"https?://[^\s'\"`<>)]+")
    for path in sorted((ROOT / "facelab/ui").rglob("*")):
        if (
            path.suffix in (".py", ".css", ".js") and path != SMALL_JS
        ):  # plotly, which is told to send nothing
            places = set(own.findall(path.read_text())) - PAPERS
            assert not {place for place in places if "w3.org" not in place}, path.name
            text = path.read_text().replace("fetch(`opening/${name}`)", "")  # of the page's own values
            for word in ("sendBeacon", "XMLHttpRequest", "WebSocket(", "window.open", "fetch("):
                assert word not in text, path.name


def test_what_the_server_is_started_with_shares_nothing(monkeypatch):
    given = {}

    class Built:
        opening = Opening()

        def queue(self, **options):
            given.update(options)
            return self

        def launch(self, **options):
            given.update(options)

    monkeypatch.setattr("facelab.ui.build_app", Built)
    monkeypatch.setattr(serve, "upload_folder", lambda: ROOT)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    monkeypatch.setattr(serve.tempfile, "tempdir", serve.tempfile.tempdir)
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "")
    serve.serve(7860)
    assert given["share"] is False and given["run_history"] is False and given["ssr_mode"] is False
    assert (
        given["max_size"] == serve.WAITING and "allowed_paths" not in given and given["show_error"] is False
    )
    assert given["app_kwargs"]["lifespan"] is serve.forgetting
    assert serve.os.environ["GRADIO_TEMP_DIR"] == serve.tempfile.tempdir == str(ROOT)
    assert serve.os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
