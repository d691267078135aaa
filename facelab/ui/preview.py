"""What a messenger or a search engine shows of a link to the page.

Gradio's template describes every page as "Gradio: Click to try out the app!", with a picture from another
host, before it adds the page's own title. Here those lines give way to the page's own title and sentence, and
to a picture of rendered people that the page serves itself.
"""

import functools
import html
import io
import re

from gradio.routes import templates
from jinja2 import BaseLoader, ChoiceLoader, DictLoader
from PIL import Image

from facelab.ui.widgets.examples import sheet_of_people

TEMPLATE = "frontend/index.html"
PICTURE = "/preview.jpg"
SIZE, INK = (1200, 630), (17, 24, 39)  # what messengers show, and what surrounds the people
ROOT = "{{ config['root'] }}"  # the page's own address, which gradio knows when it answers
META = re.compile(r"\s*<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*>")


def describe_page(title: str, sentence: str) -> None:
    """Give every page that this process serves a title and a sentence for previews."""
    loader = templates.env.loader
    original = loader.loaders[-1] if isinstance(loader, ChoiceLoader) else loader
    templates.env.loader = ChoiceLoader(
        [DictLoader({TEMPLATE: described(original, title, sentence)}), original]
    )
    templates.env.cache.clear()


def described(loader: BaseLoader, title: str, sentence: str) -> str:
    """Return gradio's template with these in place of its own."""
    source = META.sub("", loader.get_source(templates.env, TEMPLATE)[0])
    values = {
        "og:type": "website",
        "og:title": html.escape(title),
        "og:description": html.escape(sentence),
        "og:image": ROOT + PICTURE,
        "og:image:width": str(SIZE[0]),
        "og:image:height": str(SIZE[1]),
        "og:image:alt": "Twelve rendered faces; none of these people exists.",
        "twitter:card": "summary_large_image",
        "description": html.escape(sentence),
    }
    lines = "".join(
        f'\n\t\t<meta {"property" if name.startswith("og:") else "name"}="{name}" content="{value}" />'
        for name, value in values.items()
    )
    return source.replace("<head>", f"<head>{lines}", 1)


@functools.cache
def picture() -> bytes:
    """Return the picture of the preview as a JPEG: the contact sheet of rendered people."""
    people = sheet_of_people()
    height = round(people.height * SIZE[0] / people.width)
    canvas = Image.new("RGB", SIZE, INK)
    canvas.paste(people.resize((SIZE[0], height)), (0, (SIZE[1] - height) // 2))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
