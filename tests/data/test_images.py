"""Archives from strangers: what is hostile or broken is refused in one sentence, unread."""

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.data import images
from facelab.data.images import ImageFolder
from tests.conftest import CROP, as_zip, one_sentence, zipped

# Hostile and broken archives


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/abs/x.png", "C:\\x.png", "C:x.png", "..\\x.png"]
)
def test_an_entry_outside_the_folder_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="entry outside its own folder") as error:
        ImageFolder(zipped(tmp_path / "a.zip", {"a/ok.png": CROP, name: CROP}))
    assert one_sentence(str(error.value), tmp_path)


def test_a_zip_bomb_is_refused_by_what_its_directory_says(tmp_path):
    bomb = zipped(tmp_path / "a.zip", {"a/x.png": b"\0" * 30_000_000}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 50_000
    with pytest.raises(ValueError, match=r"unpacks a/x.png to 30,000,000 bytes; it was not read"):
        ImageFolder(bomb)


def test_an_entry_beyond_64_megabytes_is_not_read_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 2**20)
    large = {"a/x.png": bytes(2**20 + 1)}
    with pytest.raises(ValueError, match=r"holds no image .* 1 file not read .*a/x.png, is larger than 1 MB"):
        ImageFolder(zipped(tmp_path / "a.zip", large))
    folder = ImageFolder(zipped(tmp_path / "a.zip", large | {"a/y.png": CROP}))
    assert folder.names == ["a/y.png"] and folder.unread == {"a/x.png": "is larger than 1 MB"}


def test_a_large_file_of_a_folder_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 2**20)
    (tmp_path / "x.png").write_bytes(bytes(2**20 + 1))
    with pytest.raises(ValueError, match=r"x.png is larger than 1 MB; reduce it first"):
        ImageFolder(tmp_path).read("x.png")


def lying(path: Path, size: int) -> Path:
    """A zip whose directory says that its entry unpacks to `size` bytes; in truth to 3 million."""
    zipped(path, {"a/x.png": b"\0" * 3_000_000}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        start = data.find(mark)
        data[start + offset : start + offset + 4] = size.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_a_header_that_lies_about_the_size_yields_no_more_than_it_says(tmp_path):
    folder = ImageFolder(lying(tmp_path / "a.zip", 4000))
    with pytest.raises(ValueError, match=r"a/x.png cannot be read from a.zip; copy it again"):
        folder.read("a/x.png")


def test_an_encrypted_zip_is_refused(tmp_path):
    data = bytearray(zipped(tmp_path / "a.zip", {"a/x.png": CROP}).read_bytes())
    for mark, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.find(mark) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.zip is encrypted; give a plain zip"):
        ImageFolder(tmp_path / "a.zip")


def test_what_is_no_archive_is_refused_in_one_sentence(tmp_path, crop_folder):
    whole = as_zip(crop_folder, tmp_path / "whole.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.zip").write_text("not a zip")
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    zipped(tmp_path / "no_image.zip", {"a.txt": b"x"})
    for name, words in {
        "cut.zip": "neither a folder nor a complete zip", "text.zip": "neither a folder nor a complete zip",
        "empty.zip": "nor a complete zip", "missing": "does not exist; give a folder or a zip",
        "nothing": "holds no image", "no_image.zip": "holds no image",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=words) as error:
            ImageFolder(tmp_path / name)
        assert one_sentence(str(error.value))


@given(st.data())
def test_a_damaged_zip_never_raises_anything_but_value_error(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("zip")
    entries = {f"a/{i}.png": bytes(range(200)) * 3 for i in range(3)}
    content = bytearray(zipped(root / "a.zip", entries, zipfile.ZIP_DEFLATED).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    (root / "a.zip").write_bytes(content)
    try:
        folder = ImageFolder(root / "a.zip")
        for name in folder.names:
            assert len(folder.read(name)) <= images.MAX_FILE_BYTES
    except ValueError as error:
        assert one_sentence(str(error))
