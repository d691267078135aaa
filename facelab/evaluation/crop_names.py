"""File names of crops that are cut from photos: distinct on any file system."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from facelab.data.files import safe_name, shortened


def crop_files(names: Sequence[str], out: Path) -> dict[str, Path]:
    """Return the target of each crop: `a/b.png` to `a/b.jpg`, or to `a/b.png.jpg` if `a/b.jpg` is also a
    source.

    Targets are distinct, also on file systems that ignore case; names are made valid on any system.
    """
    plain = {name: str(PurePosixPath(safe_name(name)).with_suffix(".jpg")) for name in names}
    count = Counter(target.casefold() for target in plain.values())
    taken: set[str] = set()
    targets = {}
    for name in sorted(names, key=lambda name: name != plain[name]):  # those that keep their names first
        target = plain[name]
        if name != target and count[target.casefold()] > 1:
            target = f"{safe_name(name)}.jpg"
        number = 1
        while target.casefold() in taken:
            number += 1
            target = f"{safe_name(name)}.{number}.jpg"
        taken.add(target.casefold())
        targets[name] = out / shortened(target)
    return {name: targets[name] for name in names}
