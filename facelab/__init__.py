"""FaceLab: a photo becomes a crop, the crop an embedding, embeddings scores, and scores a decision."""

from facelab.models.backbones import BACKBONES
from facelab.models.losses import LOSSES
from facelab.models.recipes import RECIPES
from facelab.recognition.embedder import load
from facelab.recognition.verify import compare

__version__ = "0.1.0"
__all__ = ["BACKBONES", "LOSSES", "RECIPES", "compare", "load"]
