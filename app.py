"""Builds the app and launches it; Hugging Face Spaces starts here."""

import os

from facelab.serve import serve

if __name__ == "__main__":
    serve(port=int(os.environ.get("PORT", "7860")))
