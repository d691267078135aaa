"""FaceLab: a photo becomes a crop, the crop an embedding, embeddings scores, and scores a decision."""

from facelab.backbones import BACKBONES
from facelab.compare import compare
from facelab.embedder import load
from facelab.losses import LOSSES
from facelab.recipes import RECIPES

__version__ = "0.1.0"
__all__ = ["BACKBONES", "LOSSES", "RECIPES", "compare", "load"]
