"""Messages for unknown names, the same for backbones, losses, recipes and fields."""

import difflib
from collections.abc import Iterable


def nearest(name: str, legal: Iterable[str]) -> str:
    """Return a message that lists the valid names and suggests the nearest one.

    Example:
        >>> nearest("resnet81", ["resnet18", "resnet_face"])
        'did you mean resnet18? Legal: resnet18, resnet_face'
    """
    names = list(legal)
    match = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return (f"did you mean {match[0]}? " if match else "") + "Legal: " + ", ".join(names)
