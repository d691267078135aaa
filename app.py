"""Builds the app and launches it; Hugging Face Spaces starts here."""

import os
import sys

from facelab.ui.serve import free_port, serve

if __name__ == "__main__":
    try:
        port = free_port(os.environ.get("PORT", "7860"))
    except ValueError as error:
        sys.exit(f"facelab: {error}")
    serve(port)
