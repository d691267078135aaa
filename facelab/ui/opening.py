"""Keep what opens at load small: long values of the page are fetched when they are displayed.

The page's configuration would contain the opening value of every tab: pictures of cards, and the figures of
forty epochs. A value longer than `LONG` is replaced by the name of an address, and `later.js` (cards) or
`chart.js` (figures) fetch it once its tab or section is opened. A name is the hash of the value, so a browser
may keep it for good.
"""

import gzip
import hashlib
from typing import Any

from fastapi import Response

LONG = 1500  # characters; a shorter value costs less than a request
PLACE = '<div class="fl-later" aria-busy="true" data-later="{}"></div>'
FIGURE = "later:{}"
ADDRESS = "/opening/{name}"
KEPT = {"Cache-Control": "public, max-age=31536000, immutable", "Content-Encoding": "gzip"}
FORGOTTEN = "This part belongs to an earlier start of the page; load the page again."


class Opening:
    """The long opening values of a page, by name, each compressed once."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def shorten(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a configuration of gradio in which long values of HTML components are names of addresses."""
        return config | {"components": [self._shortened(one) for one in config.get("components", ())]}

    def _shortened(self, component: dict[str, Any]) -> dict[str, Any]:
        value = component["props"].get("value")
        if component["type"] != "html" or not isinstance(value, str) or len(value) <= LONG:
            return component
        packed = value.encode()
        name = hashlib.sha256(packed).hexdigest()[:32]
        self._packed.setdefault(name, gzip.compress(packed, mtime=0))
        form = FIGURE if "facelab-chart" in component["props"].get("html_template", "") else PLACE
        return component | {"props": component["props"] | {"value": form.format(name)}}

    def answer(self, name: str) -> Response:
        """Return a value to a browser, compressed (every browser unpacks it); 404 for an unknown name."""
        if name not in self._packed:
            return Response(FORGOTTEN, 404, media_type="text/plain")
        return Response(self._packed[name], media_type="text/plain", headers=KEPT)
