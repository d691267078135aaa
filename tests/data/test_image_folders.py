"""Folders and zips of other people's making: links, suffixes, code pages, odd and large entries."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from facelab.data import images
from facelab.data.files import safe_name, shortened
from facelab.data.folders import load_crops
from facelab.data.identities import who_is_on
from facelab.data.images import ImageFolder, printable
from facelab.data.unpack import unpack
from facelab.photos.read import FORMATS, IMAGE_SUFFIXES, read_photo
from facelab.recognition.gallery import photos_in_zip
from tests.conftest import CROP, encoded, link, one_sentence, zipped


def put(path: Path, content: bytes = CROP) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# Links


def test_linked_identity_folders_are_followed_once_and_loops_end(tmp_path):
    for person in ("Ann", "Bob", "Cid", "Dan"):
        put(tmp_path / "all" / person / "1.png")
    root = tmp_path / "some"
    put(root / "Eve" / "1.png")
    for person in ("Ann", "Bob", "Cid"):
        link(root / person, tmp_path / "all" / person)
    link(root / "Eve" / "2.png", root / "Eve" / "1.png")
    assert ImageFolder(root).names == ["Ann/1.png", "Bob/1.png", "Cid/1.png", "Eve/1.png", "Eve/2.png"]
    assert not ImageFolder(root).unread
    assert load_crops([root]).identities == ("some/Ann", "some/Bob", "some/Cid", "some/Eve")
    link(root / "Eva", root / "Eve")
    link(root / "Eve" / "loop", root)
    link(root / "up", tmp_path)
    link(root / "Eve" / "3.png", root / "nowhere.png")
    again = ImageFolder(root)
    assert len(again.names) == 5 and not again.empty
    assert set(again.unread) == {"Eva", "Eve/loop", "up", "Eve/3.png"}
    assert "4 files not read (the first, Eve/3.png, is a link to nothing)" in again.notes[0]


def test_a_link_in_a_zip_is_left_out_with_a_word(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/x.png", CROP)
        archive.writestr(link, "/etc/passwd")
    folder = ImageFolder(tmp_path / "a.zip")
    assert folder.names == ["a/x.png"] and "a/link.png, is a link" in folder.notes[0]


# Suffixes


def test_every_suffix_that_is_read_is_one_of_a_format_that_is_read():
    Image.init()
    kinds = Image.registered_extensions()
    assert {kinds.get(suffix) for suffix in IMAGE_SUFFIXES} <= {*FORMATS}
    others = {suffix for suffix, kind in kinds.items() if kind in FORMATS} - {*IMAGE_SUFFIXES}
    assert others <= {".heic", ".heif", ".heics", ".heifs", ".hif"}, (
        "a format is read, and a suffix of it is not"
    )


@pytest.mark.parametrize(("suffix", "kind"), [("jfif", "JPEG"), ("JPE", "JPEG"), ("jp2", "JPEG2000")])
def test_unusual_suffixes_are_read(suffix, kind, tmp_path):
    put(tmp_path / "a" / f"x.{suffix}", encoded(Image.new("RGB", (112, 112), (9, 9, 9)), kind))
    put(tmp_path / "b" / "y.png")
    assert load_crops([tmp_path]).names == (f"a/x.{suffix}", "b/y.png")


def test_what_looks_like_a_picture_and_is_not_read_is_counted_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr("facelab.photos.read.find_spec", lambda name: None)
    for name in ("a/1.png", "a/2.HEIC", "b/3.png", "b/4.CR2", "b/notes.txt", "b/run.sh"):
        put(tmp_path / "s" / name)
    folder = ImageFolder(tmp_path / "s")
    assert set(folder.unread) == {"a/2.HEIC", "b/4.CR2"}
    assert (
        "2 files not read (the first, a/2.HEIC, is a HEIC photo; `pip install pillow-heif`" in folder.notes[0]
    )
    assert who_is_on(folder).notes == folder.notes == load_crops([tmp_path / "s"]).notes
    put(tmp_path / "only" / "a" / "2.heic")
    with pytest.raises(
        ValueError, match=r"only holds no image .* 1 file not read \(the first, a/2\.heic, is a HEIC"
    ):
        ImageFolder(tmp_path / "only")
    with pytest.raises(ValueError, match=r"The file is a HEIC photo; `pip install pillow-heif`"):
        read_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def test_heic_is_read_where_its_reader_is_installed(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (112, 112), (10, 200, 30))).save(tmp_path / "x.heic")
    pixels = read_photo(tmp_path / "x.heic").pixels
    assert pixels.shape == (112, 112, 3) and abs(pixels[50, 50].astype(int) - [10, 200, 30]).max() < 12
    assert ImageFolder(tmp_path).names == ["x.heic"]


# Archives of other systems


def packed(path: Path, names: list[bytes], flag: int = 0, extra: bytes = b"") -> Path:
    """A zip whose entries have these bytes for names, whatever they mean."""
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(len(names)):
            info = zipfile.ZipInfo(f"{i:04d}".ljust(len(names[i]), "x"))
            info.extra = extra
            archive.writestr(info, CROP)
    data = path.read_bytes()
    for i, name in enumerate(names):
        data = data.replace(f"{i:04d}".ljust(len(name), "x").encode(), name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("codec", "people"),
    [
        ("cp437", ["Zoë Müller", "José"]), ("cp850", ["Bjørn", "Ângela"]), ("cp866", ["Иван Петров", "Анна"]),
        ("cp1251", ["Иван Петров", "Анна"]), ("cp932", ["山田太郎", "さくら"]),
        ("gbk", ["李雷", "王小明", "韩梅梅"]),
        ("utf-8", ["Zoë", "李雷", "Анна"]),
    ],
)  # fmt: skip
def test_names_without_a_flag_are_decoded_where_there_is_no_doubt(codec, people, tmp_path):
    names = [f"{person}/1.png".encode(codec) for person in people]
    found = photos_in_zip(packed(tmp_path / "a.zip", names))[0]
    assert sorted(person for person, _, _ in found) == sorted(people)
    assert all(read() == CROP for _, _, read in found)


IN_DOUBT = [[b"\xd6tzi", b"\xd6zil"], [b"\xb0\xb1", b"\xb0\xb2"]]  # cp1252 or cp850; any page of East Asia


@pytest.mark.parametrize("names", IN_DOUBT)
def test_names_in_doubt_are_never_enrolled(names, tmp_path):
    archive = packed(tmp_path / "a.zip", [name + b"/1.png" for name in names])
    folder = ImageFolder(archive)
    assert all(name.isascii() and "%" in name for name in folder.names)
    assert "2 names are in an unknown code page" in folder.notes[0]
    assert len(set(who_is_on(folder).people.values())) == 2  # who need no names can be told apart
    with pytest.raises(ValueError, match=r"unknown code page .*; pack them again with UTF-8 names") as error:
        photos_in_zip(archive)
    assert one_sentence(str(error.value), tmp_path)
    mixed = packed(tmp_path / "b.zip", [*(name + b"/1.png" for name in names), b"Bob/1.png"])
    assert [person for person, _, _ in photos_in_zip(mixed)[0]] == ["Bob"]


def test_the_unicode_path_of_an_entry_is_believed_if_its_checksum_fits(tmp_path):
    raw = b"\xd6tzi/1.png"
    name = "Ötzi/1.png".encode()
    field = struct.pack("<BL", 1, zlib.crc32(raw)) + name
    archive = packed(tmp_path / "a.zip", [raw], extra=struct.pack("<HH", 0x7075, len(field)) + field)
    assert ImageFolder(archive).names == ["Ötzi/1.png"]


def test_backslashes_separate_folders_in_both_readers(tmp_path):
    archive = packed(tmp_path / "a.zip", [b"Ann\\1.png", b"Ann\\2.png", b"Bob\\1.png"])
    assert ImageFolder(archive).names == ["Ann/1.png", "Ann/2.png", "Bob/1.png"]
    assert load_crops([archive]).identities == ("a/Ann", "a/Bob")
    assert unpack(archive, tmp_path / "out").written == 3
    assert (tmp_path / "out" / "Ann" / "2.png").is_file()


def test_a_colon_in_one_name_refuses_nothing(tmp_path):
    archive = zipped(
        tmp_path / "a.zip", {"Ann/12:30:00.png": CROP, "Ann/12_30_00.png": CROP, "Bob/a?.png": CROP}
    )
    assert len(load_crops([archive])) == 3
    done = unpack(archive, tmp_path / "out")
    assert done.written == 3 and not done.failures
    below = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png")}
    assert below == {"Ann/12_30_00.png", "Ann/12_30_00 (2).png", "Bob/a_.png"}
    first = "Ann/12:30:00.png, to Ann/12_30_00 (2).png"
    assert done.notes == (f"a.zip: 2 files were renamed (the first, {first})",)


@pytest.mark.parametrize("name", ["film.mp4", "model.h5", "log.bin"])
def test_a_large_file_beside_the_photos_is_left_out_with_a_word(name, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 2**20)
    entries = {"Ann/1.png": CROP, f"Ann/{name}": bytes(2**20 + 1)}
    folder = ImageFolder(zipped(tmp_path / "a.zip", entries, zipfile.ZIP_DEFLATED))
    assert folder.names == ["Ann/1.png"]
    assert folder.notes == (f"a.zip: 1 file not read (the first, Ann/{name}, is not an image)",)


JUNK = (
    "Ann/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "@eaDir/1.jpg", "__MACOSX/Ann/._1.png", ".DS_Store",
    "Ann/Thumbs.db", "#recycle/Old/1.jpg", ".thumbnails/1.jpg", "$RECYCLE.BIN/x.jpg",
)  # fmt: skip


def test_junk_of_systems_and_drives_is_nobody(tmp_path):
    entries = {"Ann/1.png": CROP, "Bob/1.png": CROP}
    entries |= dict.fromkeys(JUNK, CROP)
    for name, content in entries.items():
        put(tmp_path / "dir" / name, content)
    for source in (zipped(tmp_path / "a.zip", entries), tmp_path / "dir"):
        found = who_is_on(ImageFolder(source))
        assert (
            found.people == {"Ann/1.png": "Ann", "Bob/1.png": "Bob"} and not found.notes and not found.empty
        )


# Names to write


def test_names_are_made_fit_for_any_disk():
    assert safe_name('a:b/"c"?.jpg') == "a_b/_c__.jpg"
    assert safe_name("con/nul.jpg/Conrad. ") == "_con/_nul.jpg/Conrad_"
    assert safe_name("Zoë/..x.jpg") == "Zoë/..x.jpg"
    long = f"a/{'ü' * 200}.jpg"
    assert len(os.fsencode(shortened(long).split("/")[1])) <= 255 and shortened(long).endswith(".jpg")
    assert shortened(long) != shortened(long.replace("ü.jpg", "ä.jpg")) and shortened("a/b.jpg") == "a/b.jpg"


def test_names_that_are_not_utf_8_are_shown_escaped():
    name = os.fsdecode(b"caf\xe9\n.jpg")
    assert printable(name) == "caf\\xe9\\n.jpg" and printable("Zoë 李\u3000.jpg") == "Zoë 李\u3000.jpg"
    for joined in ("علی\u200cرضا", "👩\u200d🦰"):  # where a script or an emoji needs its joiner
        assert printable(joined) == joined
    for hidden in ("Ann\u200d", "\u200dAnn", "An\u200dn", "\u200b", "李\u200d\u200d李"):
        assert "\\u200" in printable(hidden)


# Fingerprints


def test_a_list_anywhere_belongs_to_the_fingerprint(tmp_path):
    put(tmp_path / "d" / "images" / "1.png")
    for place in ("labels.txt", "images/labels.txt"):
        before = ImageFolder(tmp_path / "d").fingerprint()
        put(tmp_path / "d" / place, b"1.png 7")
        first = ImageFolder(tmp_path / "d").fingerprint()
        put(tmp_path / "d" / place, b"1.png 88")
        assert len({before, first, ImageFolder(tmp_path / "d").fingerprint()}) == 3


def test_a_list_that_changes_alone_changes_the_crops_whatever_its_time_and_size(tmp_path):
    for i in range(2):
        put(tmp_path / "d" / "images" / f"{i}.png")
    for text, people in ((b"0.png 7\n1.png 8", ("d/7", "d/8")), (b"0.png 6\n1.png 8", ("d/6", "d/8"))):
        put(tmp_path / "d" / "labels.txt", text)
        os.utime(tmp_path / "d" / "labels.txt", (1, 1))
        assert load_crops([tmp_path / "d"], tmp_path / "cache").identities == people
