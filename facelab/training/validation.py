"""Figures on what is held out: verification, classification and the thresholds that a checkpoint carries."""

from torch import nn

from facelab.data.folders import Selection
from facelab.metrics.closed_set import classification_report
from facelab.metrics.operating import OperatingPoints, measure_operating_points
from facelab.metrics.verification import all_pairs, roc, supported_fars
from facelab.models.model import FaceModel, class_logits, embed_all


def validate(model: FaceModel, people: Selection) -> dict[str, float]:
    """Verification figures over all pairs of people whom training never saw; empty if there are none."""
    if not len(people):
        return {}
    embeddings = embed_all(model, people.batches(), flip=False)
    genuine, impostor = all_pairs(embeddings, people.labels)
    curve = roc(genuine, impostor)
    tar = {f"tar_at_far_{far:g}": curve.tar_at_far(far) for far in supported_fars((0.01,), len(impostor))}
    return {"eer": curve.equal_error_rate()[0], "auc": curve.auc()} | tar


def validate_classes(model: FaceModel, loss_fn: nn.Module, images: Selection) -> dict[str, float]:
    """Closed-set figures on other crops of the training identities; empty if there are none, or no logits."""
    if not len(images) or not hasattr(loss_fn, "logits"):
        return {}
    logits = class_logits(loss_fn, embed_all(model, images.batches(), flip=False))
    report = classification_report(logits, images.labels)
    return {name: report[name] for name in ("top_1", "ece", "nll", "ece_after_temperature")}


def held_out_points(model: FaceModel, held_out: Selection, source: str) -> OperatingPoints:
    """Operating points of a network in training, on the identities that it has not seen."""
    vectors = embed_all(model, held_out.batches())
    return measure_operating_points(*all_pairs(vectors, held_out.labels), source)
