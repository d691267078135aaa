"""Builds the app and launches it; Hugging Face Spaces starts here."""

import sys

from facelab.settings.extras import MissingExtraError, explained
from facelab.ui.serve import start

if __name__ == "__main__":
    try:
        with explained():
            start()
    except (ValueError, MissingExtraError) as error:
        sys.exit(f"facelab: {error}")
