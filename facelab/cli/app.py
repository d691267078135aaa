"""`python -m facelab app`: the page."""

from facelab.ui.serve import start


def app() -> None:
    """Serve the page at http://127.0.0.1:7860.

    The environment variables PORT and HOST set another port and address; docs/hosting.md lists all settings.
    """
    start()
