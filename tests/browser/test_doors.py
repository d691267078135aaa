"""Nothing on any tab sends a chart, a photo or a setting away from the page."""

from urllib.parse import urlparse

from facelab.models.backbones import BACKBONES
from facelab.models.losses import LOSSES
from facelab.ui import TABS

from .conftest import choose_tab, until

PAPERS = {urlparse(row.paper).hostname for row in (*BACKBONES.values(), *LOSSES.values())}
OWN = {"127.0.0.1", "www.gradio.app", "gradio.app", None}  # the foot of the page names its maker

SEEN = """() => ({
  links: [...document.querySelectorAll('a[href]')].map((link) => link.href),
  forms: document.querySelectorAll('form[action], iframe, embed, object').length,
  scripts: [...document.querySelectorAll('script[src], link[href], img[src]')].map((e) => e.src || e.href),
  words: [...document.querySelectorAll('button, a, [data-title], [aria-label], [title]')].map((e) =>
    [e.title, e.dataset.title, e.ariaLabel, e.tagName === 'BUTTON' && e.textContent].join(' ')),
  charts: [...document.querySelectorAll('.facelab-chart')].filter((chart) => chart._context).map((chart) => ({
    cloud: chart._context.showSendToCloud,
    server: chart._context.plotlyServerURL,
    maps: chart._context.topojsonURL,
    logo: chart._context.displaylogo,
    buttons: chart._fullLayout._modeBar?.buttons.flat().map((button) => button.name) ?? [],
  })),
})"""
SENDING = (
    *("share chart", "to cloud", "plotly cloud", "studio", "upload to"),
    *("send to", "tweet", "post to", "publish"),
)


def test_no_control_or_link_of_any_tab_leads_away_with_anything(visit):
    page, watch = visit()
    charts = 0
    for tab in TABS:
        choose_tab(page, tab.TITLE)
        until(
            page,
            "['lecture', 'own-evaluate'].some((id) => document.getElementById(id)?.offsetParent) || "
            "[...document.querySelectorAll('.facelab-chart')].some((c) => c._context && c.offsetParent)",
        )
        seen = page.evaluate(SEEN)
        charts += len(seen["charts"])
        for link in seen["links"]:
            to = urlparse(link)
            assert to.hostname in OWN | PAPERS, f"{tab.TITLE}: {link}"
            assert to.hostname == "127.0.0.1" or not (to.query and "utm" not in to.query), link
        for source in seen["scripts"]:
            assert source.startswith(("http://127.0.0.1", "data:", "blob:")), source
        assert not seen["forms"]
        for words in seen["words"]:
            assert not [word for word in SENDING if word in words.lower()], f"{tab.TITLE}: {words}"
        for chart in seen["charts"]:
            assert chart["cloud"] is False and chart["server"] == "" and chart["logo"] is False
            assert urlparse(chart["maps"]).hostname is None
            assert not {name.lower() for name in chart["buttons"]} & {"sendcharttocloud", "toimage"}
    assert charts > len(TABS) and not watch.outside
