"""The corpus of malformed files, written once for all tests that feed it."""

from pathlib import Path

import pytest

from tests.hostile.corpus import write


@pytest.fixture(scope="session")
def corpus(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    """(kind of reader, path) of each file; do not write to them."""
    return write(tmp_path_factory.mktemp("hostile") / "corpus", tiny_checkpoint.read_bytes())
