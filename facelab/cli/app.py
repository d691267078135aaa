"""`python -m facelab app`: the page."""

from facelab.ui.serve import start


def app() -> None:
    """Serve the page at http://127.0.0.1:7860.

    PORT and HOST in the environment choose another port and address; docs/hosting.md has all settings.
    """
    start()
