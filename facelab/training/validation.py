"""Figures on held-out data: verification, classification and the checkpoint's thresholds."""

from torch import nn

from facelab.data.folders import Selection
from facelab.metrics.closed_set import classification_report
from facelab.metrics.operating import OperatingPoints, measure_operating_points
from facelab.metrics.verification import all_pairs, roc, supported_fars
from facelab.models.checkpoint import Header
from facelab.models.model import FaceModel, class_logits, embed_all
from facelab.models.recipe import Recipe
from facelab.training.class_shards import divided


def validate(model: FaceModel, people: Selection) -> dict[str, float]:
    """Compute verification figures over all pairs of unseen identities; empty if there are none."""
    if not len(people):
        return {}
    embeddings = embed_all(model, people.batches(), flip=False)
    genuine, impostor = all_pairs(embeddings, people.labels)
    curve = roc(genuine, impostor)
    tar = {f"tar_at_far_{far:g}": curve.tar_at_far(far) for far in supported_fars((0.01,), len(impostor))}
    return {"eer": curve.equal_error_rate()[0], "auc": curve.auc()} | tar


def validate_classes(model: FaceModel, loss_fn: nn.Module, images: Selection) -> dict[str, float]:
    """Compute closed-set figures on held-out crops of the training identities; empty if there are none, no
    logits, or only some of the classes.
    """
    if not len(images) or not hasattr(loss_fn, "logits") or divided(loss_fn):
        return {}
    logits = class_logits(loss_fn, embed_all(model, images.batches(), flip=False))
    report = classification_report(logits, images.labels)
    return {name: report[name] for name in ("top_1", "ece", "nll", "ece_after_temperature")}


def held_out_points(model: FaceModel, held_out: Selection, source: str) -> OperatingPoints:
    """Measure operating points of a network in training, on unseen identities.

    Args:
        model: the network.
        held_out: the held-out identities.
        source: name of the crops.

    Raises:
        ValueError: too few pairs for thresholds.
    """
    vectors = embed_all(model, held_out.batches())
    title = f"{len(held_out.identities)} held-out identities of {source}"
    return measure_operating_points(*all_pairs(vectors, held_out.labels), title)


def header_of(recipe: Recipe, source: str, training: Selection) -> Header:
    """Return a run's checkpoint header before any measurement: recipe, identities and provenance."""
    provenance = f"{source}: {len(training.identities)} identities, {len(training)} crops"
    return Header(recipe, len(training.identities), provenance, identities=training.identities)
