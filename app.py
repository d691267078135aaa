"""Builds the app and launches it; Hugging Face Spaces starts here."""

import sys

from facelab import settings
from facelab.ui.serve import free_port, serve

if __name__ == "__main__":
    try:
        settings.check()
        port = free_port()
    except ValueError as error:
        sys.exit(f"facelab: {error}")
    serve(port)
