"""No chart can be left where it shows nothing: what is dragged or zoomed there goes back."""

from .conftest import until
from .test_access import open_tab

CHARTS = """(window.flCharts = [...document.querySelectorAll('.facelab-chart')]
  .filter((each) => each.data && each.checkVisibility() && each._fullLayout.xaxis)).length"""
RANGES = """(i) => Object.entries(flCharts[i]._fullLayout).filter(([name]) => /^[xy]axis/.test(name))
  .map(([name, axis]) => [name, axis.range.map(Number)])"""
MOVE = """([i, name, range]) => {
  const plot = flCharts[i];
  window.flWentBack = false;
  plot.addEventListener('drawn', () => { window.flWentBack = true; }, {once: true});
  plot.library.relayout(plot, {[`${name}.range`]: range});
}"""
TABS = ("compare", "calibration", "losses", "architectures")  # lines, bars, a logarithmic axis, names


def test_a_chart_that_is_moved_to_where_nothing_is_goes_back_and_a_small_move_stays(visit):
    page, _ = visit(link="tab=compare")
    tried = logarithmic = 0
    for tab in TABS:
        open_tab(page, tab)
        for i in range(min(3, page.evaluate(CHARTS))):
            before = page.evaluate(RANGES, i)
            logarithmic += page.evaluate("(i) => flCharts[i]._fullLayout.xaxis.type === 'log'", i)
            for name, (low, high) in before:
                span = high - low
                page.evaluate(MOVE, [i, name, [low + 30 * span, high + 30 * span]])
                until(page, "window.flWentBack")
                assert page.evaluate(RANGES, i) == before, (tab, i, name)
                page.evaluate(MOVE, [i, name, [low + span / 4, high + span / 4]])
                assert page.evaluate("flWentBack") is False, (tab, i, name)
                page.evaluate(MOVE, [i, name, [low, high]])
                tried += 1
    assert tried > 12 and logarithmic
