"""Archives to files: what is hostile writes nothing, what is good arrives whole, a stopped run goes on."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.data import unpack as module
from facelab.data.images import ImageFolder
from facelab.data.unpack import unpack
from tests.conftest import CROP, one_sentence, zipped

FILES = {
    "a/x.png": CROP,
    "a/y z.JPG": b"jpeg" * 9,
    "b/李.webp": CROP * 2,
    "pairs.txt": b"1 1\n",
    "b/l.csv": b"i\n",
}
OTHERS = {
    "a/.x.png": CROP,
    "__MACOSX/a/x.png": CROP,
    "a/run.sh": b"rm",
    "a/model.pkl": b"no",
    ".git/a.txt": b"x",
}
PACK = {"tar": lambda x: x, "tar.gz": gzip.compress, "tar.xz": lzma.compress, "tar.bz2": bz2.compress}


def tarred(path: Path, files: dict[str, bytes], *special: tarfile.TarInfo) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in special:
            archive.addfile(info)
    pack = PACK[path.name.partition(".")[2]]
    path.write_bytes(pack(buffer.getvalue()))
    return path


def made(kind: str, folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / f"archive.{kind}"
    return zipped(path, files, zipfile.ZIP_DEFLATED) if kind == "zip" else tarred(path, files)


def below(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["zip", *PACK])
def test_images_and_lists_arrive_whole_and_nothing_else_does(kind, tmp_path):
    archive = made(kind, tmp_path, FILES | OTHERS)
    done = unpack(archive, tmp_path / "out")
    assert below(tmp_path / "out") == FILES
    assert (done.written, done.kept, done.failures) == (5, 0, ())
    again = unpack(archive, tmp_path / "out")
    assert (again.written, again.kept) == (0, 5)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_stopped_run_goes_on_and_a_half_written_file_is_written_again(kind, tmp_path):
    archive, out = made(kind, tmp_path, FILES), tmp_path / "out"

    def stop(items, total, label):
        assert total == 5
        for i, item in enumerate(items):
            if i == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, out, stop)
    assert len(below(out)) == 2
    (out / "a/x.png").write_bytes(CROP[:5])
    done = unpack(archive, out)
    assert (done.written, done.kept) == (4, 1) and below(out) == FILES


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.xz"])
@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/abs/x.png", "..\\x.png", "C:x.png", "../x.sh"]
)
def test_a_name_that_leads_out_writes_nothing_at_all(kind, name, tmp_path):
    archive = made(kind, tmp_path, {"a/ok.png": CROP, name: CROP})
    with pytest.raises(ValueError, match="entry outside its own folder") as error:
        unpack(archive, tmp_path / "deep" / "out")
    assert one_sentence(str(error.value), tmp_path)
    assert set(below(tmp_path)) == {archive.name}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind, tmp_path):
    info = tarfile.TarInfo("a/link.png")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(ValueError, match=r"holds a (link|special file) \(a/link\.png\); it was not unpacked"):
        unpack(tarred(tmp_path / "a.tar.gz", {"a/x.png": CROP}, info), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/x.png", CROP)
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match=r"a\.zip holds a link \(a/link\.png\); it was not unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_bomb_is_refused_before_it_goes_off(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 1000)
    archive = made(kind, tmp_path, {f"a/{i}.png": bytes(3_000_000) for i in range(9)})
    assert archive.stat().st_size < 60_000
    with pytest.raises(ValueError, match=r"unpacks to more than [\d,]+ bytes; it was not unpacked"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_files_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 4)
    with pytest.raises(ValueError, match="unpacks to more than"):
        unpack(made(kind, tmp_path, FILES), tmp_path / "out")


def test_a_header_that_announces_gigabytes_of_names_is_not_believed(tmp_path):
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(ValueError, match=r"a\.tar is (neither a zip nor a tar|cut short)"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_beyond_the_limit_is_listed_and_the_others_are_written(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    done = unpack(made(kind, tmp_path, {"a/big.png": bytes(1001), "a/x.txt": b"x"}), tmp_path / "out")
    assert done.written == 1 and list(below(tmp_path / "out")) == ["a/x.txt"]
    assert [name for name, _ in done.failures] == ["a/big.png"]


def test_a_damaged_entry_is_listed_and_the_others_are_written(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"a/x.png": b"x" * 500, "a/y.png": b"y" * 500})
    data = bytearray(archive.read_bytes())
    data[data.find(b"xxxx") + 3] ^= 255
    archive.write_bytes(data)
    done = unpack(archive, tmp_path / "out")
    assert below(tmp_path / "out") == {"a/y.png": b"y" * 500}
    assert done.failures == (("a/x.png", "cannot be read from a.zip; download it again"),)


def test_names_that_cannot_be_written_are_listed(tmp_path):
    files = {"a.png/x.png": CROP, "a.png": CROP, f"{'n' * 300}.png": CROP, "z/ok.png": CROP}
    done = unpack(zipped(tmp_path / "a.zip", files), tmp_path / "out")
    assert below(tmp_path / "out") == {"a.png/x.png": CROP, "z/ok.png": CROP}
    assert [name for name, _ in done.failures] == ["a.png", f"{'n' * 300}.png"]


def test_a_full_disk_stops_the_run_and_leaves_no_part(tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/x.png", CROP)
    with pytest.raises(OSError, match="No space left"):
        unpack(archive, tmp_path / "out")
    assert not below(tmp_path / "out")


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_tar_that_is_cut_short_is_refused(kind, share, tmp_path):
    archive = tarred(tmp_path / f"a.{kind}", {f"a/{i}.png": random.randbytes(5000) for i in range(20)})
    content = archive.read_bytes()
    cut = content.rstrip(b"\0") if kind == "tar" else content
    archive.write_bytes(cut[: int(share * len(cut))])
    with pytest.raises(ValueError, match=r"cut short or damaged|neither a zip nor a tar") as error:
        unpack(archive, tmp_path / "out")
    assert one_sentence(str(error.value), tmp_path) and not (tmp_path / "out").exists()


def test_a_tar_cut_between_two_files_is_refused(tmp_path):
    archive = tarred(tmp_path / "a.tar", {"a/0.png": bytes(512), "a/1.png": bytes(512)})
    archive.write_bytes(archive.read_bytes()[:1024])
    with pytest.raises(ValueError, match=r"a\.tar is cut short or damaged; download it again"):
        unpack(archive, tmp_path / "out")


def test_what_is_no_archive_of_images_is_refused(tmp_path):
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "empty.tar").write_bytes(b"")
    zipped(tmp_path / "lists.zip", {"a.txt": b"x"})
    data = bytearray(zipped(tmp_path / "secret.zip", {"a/x.png": CROP}).read_bytes())
    for mark, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.find(mark) + offset] |= 1
    (tmp_path / "secret.zip").write_bytes(data)
    for name, words in {
        "missing.zip": "does not exist; name a zip or tar", "text.zip": "neither a zip nor a tar",
        "empty.tar": "neither a zip nor a tar", "lists.zip": "holds no image",
        "secret.zip": "is encrypted; unpack it with its password first",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=words) as error:
            unpack(tmp_path / name, tmp_path / "out")
        assert one_sentence(str(error.value)) and not (tmp_path / "out").exists()


def test_an_entry_without_a_name_is_passed_over(tmp_path):
    nameless = zipfile.ZipInfo("x")
    nameless.filename = ""
    archive = zipped(tmp_path / "a.zip", {"a/x.png": CROP})
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(nameless, CROP)
    assert unpack(archive, tmp_path / "out").written == 1
    assert ImageFolder(archive).names == ["a/x.png"]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@given(st.data())
def test_a_damaged_archive_raises_nothing_but_value_error(tmp_path_factory, kind, data):
    root = tmp_path_factory.mktemp("archive")
    archive = made(kind, root, {f"a/{i}.png": bytes(range(200)) * 3 for i in range(3)})
    content = bytearray(archive.read_bytes())
    for place in data.draw(st.lists(st.integers(0, min(len(content), 3000) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    try:
        done = unpack(archive, root / "out")
    except ValueError as error:
        assert one_sentence(str(error))
    else:
        assert all(one_sentence(reason) for _, reason in done.failures)
    assert {p.name for p in root.iterdir()} <= {archive.name, "out"}
