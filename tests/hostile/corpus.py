"""The whole corpus, written into one folder per reader."""

import random
from pathlib import Path

from tests.hostile.archives import archives
from tests.hostile.arrays import checkpoints, galleries
from tests.hostile.images import images
from tests.hostile.tables import field_formats, lists, recipes

SEED = 7


def write(folder: Path, checkpoint: bytes, seed: int = SEED) -> list[tuple[str, Path]]:
    """Write every file of the corpus -> (reader's name, file).

    Args:
        folder: new; a folder for each reader is made in it.
        checkpoint: a good one, as content, from which bad ones are made.
    """
    rng = random.Random(seed)
    groups = {
        "photo": images(rng),
        "archive": archives(rng),
        "gallery": galleries(rng),
        "checkpoint": checkpoints(rng, checkpoint),
        "list": lists(),
        "recipe": recipes(),
        "format": field_formats(rng),
    }
    out = []
    for group, files in groups.items():
        (folder / group).mkdir(parents=True)
        for i, (name, content) in enumerate(files):
            path = folder / group / f"{i:03d} {name}"
            path.write_bytes(content)
            out.append((group, path))
    return out
