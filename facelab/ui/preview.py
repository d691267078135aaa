"""What a messenger or a search engine shows of a link to the page.

Gradio's template describes every page as "Gradio: Click to try out the app!", with a picture from another
host, before it adds the page's own title. Here those lines give way to the page's own title and sentence.
"""

import html
import re

from gradio.routes import templates
from jinja2 import BaseLoader, ChoiceLoader, DictLoader

TEMPLATE = "frontend/index.html"
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
    values = {"og:type": "website", "og:title": title, "og:description": sentence, "description": sentence}
    lines = "".join(
        f'\n\t\t<meta {"property" if ":" in name else "name"}="{name}" content="{html.escape(value)}" />'
        for name, value in values.items()
    )
    return source.replace("<head>", f"<head>{lines}", 1)
