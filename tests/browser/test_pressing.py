"""Nothing leaves the page: every button of every tab is pressed, every link is followed or read."""

from urllib.parse import urlsplit

from facelab.ui.widgets.examples import example_pairs

from .conftest import until
from .test_access import OPEN, TABS, open_tab

# Each button once, by what it is and says; those that appear meanwhile, too. Returns what was pressed.
PRESS = """async () => {
  const pressed = window.pressed ??= new Set(), now = [];
  const named = (each) => [each.closest('[id]:not([id^=html-], [id^=component-])')?.id,
    each.getAttribute('aria-label'), each.dataset.do, each.innerText].join(' | ');
  const all = 'button:not(:disabled, [role=tab]), summary, input[type=checkbox], input[type=radio]';
  for (let again = 0; again < 4; again++) {
    const fresh = [...document.querySelectorAll(all)]
      .filter((each) => each.checkVisibility() && !pressed.has(named(each)));
    for (const each of fresh) {
      if (!each.isConnected || pressed.has(named(each))) continue;
      now.push(named(each));
      pressed.add(named(each));
      each.click();
      await new Promise((next) => setTimeout(next, 15));
    }
  }
  return now;
}"""
LEAVING = """[...document.querySelectorAll('a[href]')].filter((each) => each.origin !== location.origin)
  .map((each) => [each.href, each.rel, each.target])"""
STORED = """async () => [...Object.entries(localStorage), ...Object.entries(sessionStorage),
  ...(await indexedDB.databases()).map(({name}) => ['database', name]),
  ...(await caches.keys()).map((name) => ['cache', name])]"""
KEPT = {
    "facelab-visitor",
    "facelab-train",
    "facelab-transfer",
    "facelab-own",
}  # random keys of runs (page.js)


def test_nothing_leaves_the_page_whatever_is_pressed(served, chromium, tmp_path):
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    asked, opened = [], []
    context.on("request", lambda request: asked.append(request.url))
    page.on("filechooser", lambda chooser: None)
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.on("popup", lambda popup: opened.append(popup.url))
    photo = tmp_path / "ann-at-home.png"
    example_pairs()["Two people"][0].save(photo)
    page.goto(f"{served}?tab=compare")
    until(page, "window.facelabLoaded && document.querySelector('#verdict h2')")
    page.locator("#photo-a button[aria-label='Remove Image']").click()
    page.locator("#photo-a input[type=file]").set_input_files(photo)
    until(page, "document.querySelector('#photo-a img')?.src.includes('ann-at-home')")
    count, leaving = 0, []
    for tab in TABS:
        open_tab(page, tab)
        while page.evaluate(OPEN):
            page.wait_for_timeout(300)
        count += len(page.evaluate(PRESS))
        leaving += page.evaluate(LEAVING)
        page.keyboard.press("Escape")
    for link in page.evaluate("[...document.querySelectorAll('a[href^=\"?\"]')].map((each) => each.href)"):
        assert urlsplit(link).netloc == urlsplit(served).netloc
    page.evaluate("""async () => {
      for (const each of document.querySelectorAll('a.fl-stage, a.fl-brand, a.fl-item')) each.click();
    }""")
    page.wait_for_timeout(1000)
    outside = {url for url in asked if not url.startswith((served, f"blob:{served}", "data:"))}
    stored = page.evaluate(STORED)
    context.close()
    assert count > 150, "buttons were not found"
    assert not outside and not opened
    for href, rel, target in leaving:
        assert urlsplit(href).scheme == "https" and target == "_blank", href
        assert {"noopener", "noreferrer"} & set(rel.split()), href
    for name, value in stored:
        assert "ann-at-home" not in value and "image" not in value and len(value) < 200, name
        assert name in KEPT or name.startswith("theme"), (name, value)
