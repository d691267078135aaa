"""Transfer learning in both ways of the course: fine-tune all layers, or freeze the first stages and train
the rest.

The embedding network is initialized from trained weights; the head (the loss with its prototypes) is new,
unless it was trained for the same identities and loss. Frozen stages stay in eval mode, so that their batch
statistics are frozen as well.
"""

from torch import nn

from facelab.models import zoo
from facelab.models.backbones.pretrained import pretrained
from facelab.models.model import FaceModel
from facelab.models.names import nearest
from facelab.models.recipe import Recipe

IMAGENET = "imagenet"
SHAPE = ("backbone", "neck", "embedding_dim")  # the fields on which the network's tensors depend


def initialize(model: FaceModel, loss_fn: nn.Module, recipe: Recipe, identities: tuple[str, ...]) -> None:
    """Initialize a new network from the weights of `recipe.init_from`, in place.

    Args:
        model, loss_fn: built from the recipe.
        recipe: recipe of this run.
        identities: names of the training identities, by label.

    Raises:
        ValueError: unknown or damaged weights, or weights of a network of another shape.
    """
    if recipe.init_from is None:
        return
    if recipe.init_from == IMAGENET:
        model.backbone.load_state_dict(pretrained(recipe.backbone).state_dict())
        return
    source, source_loss, header = zoo.load(recipe.init_from)
    for name in SHAPE:
        theirs, ours = getattr(header.recipe, name), getattr(recipe, name)
        if theirs != ours:
            raise ValueError(
                f"{recipe.init_from} has {name} {theirs} and this run {ours}; set {name} to {theirs}"
            )
    model.load_state_dict(source.state_dict())
    then, now = header.recipe, recipe
    same = source_loss is not None and header.identities == identities
    if same and (then.loss, then.loss_options()) == (now.loss, now.loss_options()):
        loss_fn.load_state_dict(source_loss.state_dict())


def freeze(model: FaceModel, upto: str | None) -> list[nn.Module]:
    """Stop the training of the network's stages from the first to `upto`, inclusive.

    Args:
        model: its parameters stop requiring gradients, in place.
        upto: name of a stage, `neck` for the whole network, or None for nothing.

    Returns:
        The frozen stages; keep them in eval mode.

    Raises:
        ValueError: no such stage; the message lists them.
    """
    if upto is None:
        return []
    stages = dict(model.backbone.named_children()) | {"neck": model.neck}
    if upto not in stages:
        raise ValueError(f"there is no stage {upto!r} to freeze: {nearest(upto, stages)}")
    names = list(stages)
    frozen = [stages[name] for name in names[: names.index(upto) + 1]]
    for stage in frozen:
        stage.requires_grad_(False)
    return frozen
