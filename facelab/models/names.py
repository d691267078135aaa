"""What an unknown name is answered with, the same sentence for backbones, losses, recipes and fields."""

import difflib
from collections.abc import Iterable


def nearest(name: str, legal: Iterable[str]) -> str:
    """Say which names are legal and which one was probably meant.

    Example:
        >>> nearest("resnet81", ["resnet18", "resnet_face"])
        'did you mean resnet18? Legal: resnet18, resnet_face'
    """
    names = list(legal)
    match = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return (f"did you mean {match[0]}? " if match else "") + "Legal: " + ", ".join(names)
