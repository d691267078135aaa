"""The field's formats: written here from their descriptions, read back with equal bytes and labels."""

import io
import itertools
import json
import pickle
import struct
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.cli.main import main
from facelab.data.folders import load_crops
from facelab.data.formats.inspect import inspect
from facelab.data.formats.labeled import LabeledPairs
from facelab.data.formats.opened import open_labeled
from facelab.data.formats.write import convert
from tests.conftest import as_zip, encoded, one_sentence, refused

MAGIC = b"\x0a\x23\xd7\xce"
PEOPLE = {"Ann Lee": 3, "bob": 1, "Zoë": 2}


def picture(value: int, size: int = 112) -> bytes:
    return encoded(Image.new("RGB", (size, size), (value % 256, value // 256, 7)), "PNG")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three people; no two images are equal."""
    root, value = tmp_path / "source", 0
    for person, count in PEOPLE.items():
        (root / person).mkdir(parents=True)
        for i in range(count):
            (root / person / f"{person}_{i:04d}.PNG").write_bytes(picture(value := value + 1))
    return root


def contents(source) -> dict[str, list[bytes]]:
    """{identity: the bytes of its images, sorted}."""
    found = {}
    for item in source.read():
        found.setdefault(item.person, []).append(item.content)
    return {person: sorted(images) for person, images in found.items()}


# An independent writer of RecordIO, from the format's description: u32 magic, u32 (place << 29 | length),
# padding to four bytes; header u32 flag, f32 label, u64 id, u64 id2, then `flag` labels.


def record(label, content: bytes, key: int = 0) -> bytes:
    labels = label if isinstance(label, tuple) else ()
    head = struct.pack("<IfQQ", len(labels), 0.0 if labels else label, key, 0)
    data = head + b"".join(struct.pack("<f", value) for value in labels) + content
    words = [data[i : i + 4] for i in range(0, len(data), 4)]
    parts, part = [], b""
    for word in words:
        if word == MAGIC:
            parts.append(part)
            part = b""
        else:
            part += word
    parts.append(part)
    places = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        MAGIC + struct.pack("<I", place << 29 | len(p)) + p + bytes(-len(p) % 4)
        for place, p in zip(places, parts)
    )


def write_rec(path: Path, records: list[bytes], index: bool = True) -> Path:
    path.write_bytes(b"".join(records))
    at, lines = 0, []
    for key, data in enumerate(records):
        lines.append(f"{key}\t{at}\n")
        at += len(data)
    if index:
        path.with_suffix(".idx").write_text("".join(lines))
    return path


LABELS = [0, 0, 1, 4, 4]
IMAGES = [picture(i) for i in range(3)] + [
    b"\x89PNG" + MAGIC + b"abc" + 2 * MAGIC + b"d" + 3 * MAGIC,
    b"\xff\xd8" + MAGIC,
]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("insightface", [True, False])
def test_recordio_with_and_without_index_and_record_0(index, insightface, tmp_path):
    records = [record(label, image, i) for i, (label, image) in enumerate(zip(LABELS, IMAGES), 1)]
    if insightface:
        ranges = [record(pair, b"") for pair in ((1.0, 3.0), (3.0, 4.0), (4.0, 6.0))]
        records = [record((6.0, 9.0), b""), *records, *ranges]
    found = open_labeled(write_rec(tmp_path / "train.rec", records, index))
    items = list(found.read())
    assert found.count == len(items) == 5
    assert [item.content for item in items] == IMAGES
    assert [int(item.person) for item in items] == LABELS
    assert any("3 identities" in note for note in found.notes) == insightface
    assert items[0].name.endswith(".png") and items[4].name.endswith(".jpg")


def test_a_label_may_be_several_numbers_of_which_the_first_is_the_identity(tmp_path):
    found = open_labeled(
        write_rec(tmp_path / "a.rec", [record((3.0, 0.5, 0.25), IMAGES[0]), record(1.0, IMAGES[1])])
    )
    assert [(item.person, item.content) for item in found.read()] == [
        ("000003", IMAGES[0]),
        ("000001", IMAGES[1]),
    ]


GOOD = record(0.0, IMAGES[0])
BROKEN_RECS = {
    "empty": b"",
    "no magic": b"PK\x03\x04" + GOOD,
    "cut short": GOOD[:-3],
    "rubbish after": GOOD + b"more",
    "a length beyond the end": MAGIC + struct.pack("<I", 2**29 - 1) + b"abcd",
    "a part without a beginning": MAGIC + struct.pack("<I", 2 << 29 | 4) + b"abcd",
    "no header": MAGIC + struct.pack("<I", 4) + b"abcd",
    "a billion labels": MAGIC + struct.pack("<I", 28) + struct.pack("<IfQQ", 10**9, 0, 0, 0) + b"abcd",
    "a label that is no number": record(float("nan"), IMAGES[0]),
    "a negative label": record(-1.0, IMAGES[0]),
    "half a label": record(0.5, IMAGES[0]),
    "an end of the images behind all": record((9.0, 12.0), b"") + GOOD,
    "an endless end": record((float("inf"), float("inf")), b"") + GOOD,
    "no image": GOOD + record(1.0, b""),
    "begun and never ended": MAGIC + struct.pack("<I", 1 << 29 | 4) + b"abcd",
}


@pytest.mark.parametrize("data", BROKEN_RECS.values(), ids=BROKEN_RECS)
def test_a_broken_rec_gets_one_sentence(data, tmp_path):
    (tmp_path / "train.rec").write_bytes(data)
    with pytest.raises(ValueError) as stop:
        list(open_labeled(tmp_path / "train.rec").read())
    assert one_sentence(str(stop.value), tmp_path) and "train.rec" in str(stop.value)


@pytest.mark.parametrize("line", ["0\t3", "0\t99999", "5\t0", "x\t0", "0", "0\t-4", "0\t" + "9" * 50])
def test_an_index_that_does_not_fit_is_refused(line, tmp_path):
    path = write_rec(tmp_path / "train.rec", [GOOD], index=False)
    path.with_suffix(".idx").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"train\.idx, line 1, does not fit the \.rec; delete it"):
        open_labeled(path)


# Verification sets


def pickled(images: list, flags: list, protocol: int) -> bytes:
    return pickle.dumps((images, flags), protocol)


def python_2(images: list[bytes], flags: list[bool]) -> bytes:
    """What cPickle of Python 2 writes by protocol 2: bytes as BINSTRING and SHORT_BINSTRING."""
    out = b"\x80\x02]q\x01("
    for i, image in enumerate(images):
        out += (
            b"U" + bytes([len(image)]) if len(image) < 256 else b"T" + struct.pack("<i", len(image))
        ) + image
        out += b"r" + struct.pack("<I", 10 + i)
    return out + b"e]q\x02(" + b"".join(b"\x88" if flag else b"\x89" for flag in flags) + b"e\x86q\x03."


BIN_IMAGES, FLAGS = [picture(i) for i in range(8)], [True, False, False, True]
BINS = {f"protocol {p}": pickled(BIN_IMAGES, FLAGS, p) for p in (3, 4, 5)}
BINS |= {"Python 2": python_2(BIN_IMAGES, FLAGS), "numbers": pickled(BIN_IMAGES, [1, 0, 0, 1], 4)}
BINS |= {"a list of both": pickle.dumps([BIN_IMAGES, FLAGS], 4)}
BINS |= {"byte arrays": pickled([bytearray(image) for image in BIN_IMAGES], FLAGS, 5)}


@pytest.mark.parametrize("data", BINS.values(), ids=BINS)
def test_pairs_of_a_bin_are_read_without_running_it(data, tmp_path):
    (tmp_path / "lfw.bin").write_bytes(data)
    found = open_labeled(tmp_path / "lfw.bin")
    pairs = list(found.read())
    assert found.count == 4 and [pair.same for pair in pairs] == FLAGS
    assert [image for pair in pairs for image in pair[:2]] == BIN_IMAGES


def test_an_image_that_is_there_twice_is_one_object_of_the_pickle(tmp_path):
    image = picture(1)
    (tmp_path / "a.bin").write_bytes(pickled([image, image, picture(2), image], [True, False], 4))
    assert [pair[:2] for pair in open_labeled(tmp_path / "a.bin").read()] == [
        (image, image),
        (picture(2), image),
    ]


class Evil:
    def __reduce__(self):
        return (print, ("this must never run",))


HOSTILE_BINS = {
    "a call": pickled([Evil()], [True], 4),
    "a call by protocol 0": pickle.dumps(Evil(), 0),
    "arrays": pickled([np.zeros(3, np.uint8)] * 2, [True], 4),
    "a set": pickle.dumps({1, 2}, 4),
    "none": pickled([None, None], [True], 4),
    "words": pickled(["a", "b"], [True], 4),
    "one image too few": pickled(BIN_IMAGES[:7], FLAGS, 4),
    "no pair": pickled([], [], 4),
    "flags of other kinds": pickled(BIN_IMAGES, [True, False, 2, 1], 4),
    "images among the flags": pickled(BIN_IMAGES, [*FLAGS[:3], b"x"], 4),
    "an empty image": pickled([b"", *BIN_IMAGES[1:]], FLAGS, 4),
    "one list": pickle.dumps(BIN_IMAGES, 4),
    "cut short": BINS["protocol 4"][:-40],
    "empty": b"",
    "no pickle": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "a length of exabytes": b"\x80\x04]\x8e" + struct.pack("<Q", 2**62) + b"abc",
    "a memo that is not there": b"\x80\x04h\x05.",
    "a list in itself": b"\x80\x02]q\x00(h\x00h\x00e.",
    "nothing on the stack": b"\x80\x02e.",
}


@pytest.mark.parametrize("data", HOSTILE_BINS.values(), ids=HOSTILE_BINS)
def test_a_hostile_bin_gets_one_sentence(data, tmp_path, capsys):
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(ValueError, match=r"^x\.bin ") as stop:
        open_labeled(tmp_path / "x.bin")
    assert one_sentence(str(stop.value), tmp_path) and "never run" not in capsys.readouterr().out


# Shards and tables


def shard(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_shards_group_an_image_and_its_label_by_key(suffix, tmp_path):
    a, b, c, d = (picture(i) for i in range(4))
    shard(
        tmp_path / f"s-0000{suffix}",
        {"x/0001.jpg": a, "x/0001.cls": b"12", "x/0002.cls": b"3\n", "x/0002.jpg": b},
    )
    shard(
        tmp_path / f"s-0001{suffix}",
        {"k.seg.png": c, "k.json": b'{"label": "Ann"}', "l.txt": b"Bob", "l.PNG": d},
    )
    found = open_labeled(tmp_path)
    assert found.count == 4 and "WebDataset" in found.kind
    assert [item[1:] for item in found.read()] == [("000012", a), ("000003", b), ("Ann", c), ("Bob", d)]


def test_a_tar_of_folders_is_one_identity_a_folder(tmp_path):
    found = open_labeled(
        shard(tmp_path / "a.tar", {f"set/{p}/{i}.png": picture(i) for p in "ab" for i in range(2)})
    )
    assert sorted(item.person for item in found.read()) == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    "files",
    [
        {"1.jpg": picture(1), "2.cls": b"1"},
        {"1.jpg": picture(1), "1.cls": b"\xff\xfe"},
        {"1.jpg": picture(1), "1.json": b"[" * 5000},
        {"1.jpg": picture(1), "1.json": b"{}"},
        {"../1.jpg": picture(1), "../1.cls": b"1"},
        {"1.cls": b"1"},
    ],
    ids=["another key", "no text", "deep JSON", "JSON without a label", "outside", "no image"],
)
def test_a_broken_shard_gets_one_sentence(files, tmp_path):
    with pytest.raises(ValueError) as stop:
        list(open_labeled(shard(tmp_path / "a.tar", files)).read())
    assert one_sentence(str(stop.value), tmp_path)


TABLES = {
    "titles": "path,label\n{a},1\n{b},2\n{c},1\n",
    "other titles, another order": "identity,filename\n1,{a}\n2,{b}\n1,{c}\n",
    "no titles": "{a},1\n{b},2\n{c},1\n",
    "tabs, BOM and CRLF": "\ufeffimage\tperson\r\n{a}\t1\r\n{b}\t2\r\n{c}\t1\r\n",
    "another machine": "path;label\nC:\\\\faces\\\\{a};1\nC:\\\\faces\\\\{b};2\nC:\\\\faces\\\\{c};1\n",
    "more columns": "id,image,split,label\n7,{a},train,1\n8,{b},train,2\n9,{c},val,1\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_csv_names_images_and_identities(text, tmp_path):
    names = ("img/1.png", "img/zwei ü.PNG", "img/3.png")
    (tmp_path / "img").mkdir()
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(picture(i))
    a, b, c = (name.replace("/", "\\") if "C:" in text else name for name in names)
    (tmp_path / "list.csv").write_bytes(text.format(a=a, b=b, c=c).replace("\\\\", "\\").encode())
    found = open_labeled(tmp_path / "list.csv")
    assert [(item.person, item.content) for item in found.read()] == [
        (p, picture(i)) for i, p in enumerate("121")
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\nimg/1.png,1\nimg/9.png,2\n", "cannot be matched, the first: img/9.png"),
        ("path,label\n../../etc/x.png,1\nimg/1.png,1\n", "cannot be matched"),
        ("path,label\nimg/1.png,1\nimg/1.png,2\n", "line 3: img/1.png is 2 here and 1 on an earlier line"),
        ("path,label\nimg/1.png,\n", "line 2: expected an image and a label"),
        ("a,b\n1,2\n", "needs a column of image files and one of labels"),
        ("", "is empty"),
        ("path,label\nimg/1.png,1\n./img/1.png,1\n", "one file in two ways"),
    ],
)
def test_a_csv_that_does_not_fit_gets_one_sentence(text, words, tmp_path):
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "1.png").write_bytes(picture(1))
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError) as stop:
        list(open_labeled(tmp_path / "list.csv").read())
    assert words in str(stop.value) and one_sentence(str(stop.value), tmp_path)


# Parquet


def table(path: Path, columns: dict, names: list[str] | None = None) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    made = pa.table(columns)
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(made, path)
    return path


def cell(content: bytes, path: str | None = None) -> dict:
    return {"bytes": content, "path": path}


def test_parquet_as_the_hub_keeps_it(tmp_path):
    images = [cell(picture(i), f"{i}.jpg") for i in range(3)]
    found = open_labeled(table(tmp_path / "a.parquet", {"image": images, "label": [1, 0, 1]}, ["Ann", "Bob"]))
    assert [(item.person, item.content) for item in found.read()] == [
        ("Bob", picture(0)), ("Ann", picture(1)), ("Bob", picture(2)),
    ]  # fmt: skip
    (tmp_path / "set" / "data").mkdir(parents=True)
    for i in range(2):
        table(tmp_path / "set" / "data" / f"train-{i}.parquet", {"image": [picture(i)], "label": [f"p{i}"]})
    assert [item.person for item in open_labeled(tmp_path / "set").read()] == ["p0", "p1"]


def test_parquet_of_pairs(tmp_path):
    columns = {
        "image1": [cell(picture(0))] * 2,
        "image2": [cell(picture(1)), cell(picture(2))],
        "label": [1, 0],
    }
    found = open_labeled(table(tmp_path / "a.parquet", columns))
    assert isinstance(found, LabeledPairs) and found.count == 2
    assert [*found.read()] == [(picture(0), picture(1), True), (picture(0), picture(2), False)]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": [cell(None, "a.jpg")], "label": [1]}, "row 0 holds no bytes of an image"),
        ({"image": [cell(b"x")], "label": [None]}, "row 0 names no identity"),
        ({"pixels": [b"x"], "label": [1]}, "has no column 'image'"),
        ({"image": [b"x"], "text": ["a"]}, "has no column 'label'"),
        ({"image1": [b"x"], "image2": [b"x"], "label": [7]}, "row 0 has the label '7'; it must be 0 or 1"),
        ({"image": [1.5], "label": [1]}, "row 0 holds no bytes of an image"),
    ],
)
def test_a_table_of_other_things_gets_one_sentence(columns, words, tmp_path):
    with pytest.raises(ValueError) as stop:
        list(open_labeled(table(tmp_path / "a.parquet", columns)).read())
    assert words in str(stop.value) and one_sentence(str(stop.value), tmp_path)


def test_a_damaged_table_gets_one_sentence(tmp_path):
    path = table(tmp_path / "a.parquet", {"image": [picture(i) for i in range(9)], "label": list(range(9))})
    whole = path.read_bytes()
    for data in (b"", b"PAR1", whole[:-9], whole[: len(whole) // 2], whole[:40] + bytes(400) + whole[440:]):
        path.write_bytes(data)
        with pytest.raises(ValueError) as stop:
            list(open_labeled(path).read())
        assert one_sentence(str(stop.value), tmp_path)


# Round trips


@pytest.mark.parametrize("form", ["again", "a.zip", "a.rec", "a.parquet"])
def test_a_round_trip_keeps_bytes_and_labels(form, folder, tmp_path):
    if form.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    before = contents(open_labeled(folder))
    done = convert(open_labeled(folder), tmp_path / "out" / form)
    assert (done.written, done.failures) == (sum(PEOPLE.values()), ())
    assert contents(open_labeled(tmp_path / "out" / form)) == before
    convert(open_labeled(tmp_path / "out" / form), tmp_path / "back")
    files = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.PNG")}
    assert {
        p.relative_to(tmp_path / "back"): p.read_bytes() for p in (tmp_path / "back").rglob("*.*")
    } == files


def test_a_rec_that_was_converted_is_what_insightface_reads(folder, tmp_path):
    convert(open_labeled(folder), tmp_path / "a.rec")
    images = {person: sorted((folder / person).iterdir()) for person in sorted(PEOPLE)}
    rows = [(i, path.read_bytes()) for i, paths in enumerate(images.values()) for path in paths]
    records = [record((7.0, 10.0), b"")] + [
        record(float(label), data, i) for i, (label, data) in enumerate(rows, 1)
    ]
    ends = [1, *np.cumsum([1, *[len(paths) for paths in images.values()]])[1:].tolist()]
    for i, pair in enumerate(itertools.pairwise(ends), 7):
        records.append(record(tuple(map(float, pair)), b"", i))
    assert (tmp_path / "a.rec").read_bytes() == b"".join(records)


def test_images_that_come_in_any_order_are_written_by_identity(tmp_path):
    labels = [2, 0, 1, 0, 2, 1, 0]
    images = [picture(i) for i in range(7)]
    path = write_rec(
        tmp_path / "mixed.rec", [record(float(label), image) for label, image in zip(labels, images)]
    )
    convert(open_labeled(path), tmp_path / "sorted.rec")
    (tmp_path / "sorted.lst").unlink()
    found = [*open_labeled(tmp_path / "sorted.rec").read()]
    assert [int(item.person) for item in found] == sorted(labels)
    assert [item.content for item in found] == [images[i] for i in np.argsort(labels, kind="stable")]


def test_a_crop_file_trains_and_comes_back_pixel_by_pixel(folder, tmp_path):
    (folder / "bob" / "large.png").write_bytes(picture(9, 200))
    done = convert(open_labeled(folder), tmp_path / "crops.npy")
    assert done.written == 6 and "200x200 is not an aligned 112x112 crop" in done.failures[0][1]
    data, plain = load_crops([tmp_path / "crops.npy"]), load_crops([folder])
    assert [name.partition("/")[2] for name in data.identities] == sorted(PEOPLE)
    assert np.array_equal(data.labels, plain.labels) and np.array_equal(data.crops[:], plain.crops[:])
    back = open_labeled(tmp_path / "crops.npy")
    pixels = [np.asarray(Image.open(io.BytesIO(item.content))) for item in back.read()]
    assert np.array_equal(np.stack(pixels), data.crops[:])
    (tmp_path / "crops.json").unlink()
    with pytest.raises(ValueError, match=r"crops\.npy needs its own crops\.json beside it"):
        open_labeled(tmp_path / "crops.npy")


def test_names_that_collide_or_cannot_be_written_are_changed(tmp_path):
    files = {"q?r/x.png": picture(1), "q_r/x.png": picture(2), "con/y.png": picture(3)}
    path = shard(tmp_path / "a.tar", files)
    convert(open_labeled(path), tmp_path / "out")
    written = {
        str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*.png")
    }
    assert sorted(written) == ["_con/y.png", "q_r/x (2).png", "q_r/x.png"]
    assert sorted(written.values()) == sorted(files.values())


# What people leave in their folders


def test_junk_is_no_image_and_odd_names_are(tmp_path):
    root = tmp_path / "my faces"
    for name in (
        "Zoë/a b.JPG",
        "Zoë/2.PNG",
        "Bob/1.Jpeg",
        "__MACOSX/Zoë/._a b.JPG",
        "Bob/.DS_Store",
        "Bob/Thumbs.db",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(len(name)))
    try:
        (root / "Bob" / "caf\udce9.png").write_bytes(picture(99))
    except OSError:  # a disk that takes UTF-8 alone
        (root / "Bob" / "caf.png").write_bytes(picture(99))
    for source in (
        (root, as_zip(root, tmp_path / "faces.zip")) if (root / "Bob" / "caf.png").exists() else (root,)
    ):
        items = {item.person: 0 for item in open_labeled(source).read()}
        assert set(items) == {"Zoë", "Bob"}
    for form in ("out", "out.zip", "out.rec"):
        assert convert(open_labeled(root), tmp_path / form).written == 4


@pytest.mark.parametrize("form", ["out", "out.zip", "out.rec", "out.npy"])
def test_people_of_any_name_come_back_as_they_were_written(form, tmp_path):
    """A name that is not UTF-8 is told with a backslash, which separates folders in a zip."""
    people = {"caf\udce9": 0, "李雷": 0}
    try:
        (tmp_path / "in" / "caf\udce9").mkdir(parents=True)
    except OSError:  # a disk that takes UTF-8 alone
        people = {"a\\xe9": 0, "李雷": 0}
    for person in people:
        for i in range(2):
            (tmp_path / "in" / person).mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / person / f"{i}.png").write_bytes(picture(len(person) + i))
    convert(open_labeled(tmp_path / "in"), tmp_path / form)
    convert(open_labeled(tmp_path / form), tmp_path / "back")
    found = Counter(item.person for item in open_labeled(tmp_path / "back").read())
    assert len(found) == 2 and found["李雷"] == 2 and not any("\\" in person for person in found)


MISTAKES = {  # what lies beside the good images, as other systems leave it: (files, what is counted)
    "macOS": ({"__MACOSX/ann/._1.png": b"\0\5", "ann/.DS_Store": b"Bud1", "ann/._1.png": b"x"}, {}),
    "Windows": ({"ann/Thumbs.db": b"\xd0\xcf", "desktop.ini": b"[x]", "bob/Thumbs.db": b"x"}, {}),
    "capitals": ({"ann/2.PNG": 50, "ann/3.JpEg": 51, "bob/4.JPG": 52}, {"ann": 2, "bob": 1}),
    "spaces": ({"ann/a b  c.png": 53, "mary ann/ 1.png": 54}, {"ann": 1, "mary ann": 1}),
    "scripts": ({"Zoë/1.png": 55, "李/1.png": 56, "Ольга/имя.png": 57}, {"Zoë": 1, "李": 1, "Ольга": 1}),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_layouts_change_nothing_else(mistake, packed, tmp_path):
    files, counted = MISTAKES[mistake]
    root = tmp_path / "faces"
    good = {"ann/1.png": 40, "bob/1.png": 41, "bob/2.png": 42}
    for name, content in (good | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(content) if isinstance(content, int) else content)
    found = open_labeled(as_zip(root, tmp_path / "faces.zip") if packed else root)
    people = [item.person for item in found.read()]
    expected = Counter({"ann": 1, "bob": 2}) + Counter(counted)
    assert Counter(people) == expected and found.count == sum(expected.values())


def test_a_flat_folder_is_read_by_lfw_names(tmp_path):
    for name in ("Ann_Lee_0001.jpg", "Ann_Lee_0002.JPG", "Bob_0001.png"):
        (tmp_path / "flat").mkdir(exist_ok=True)
        (tmp_path / "flat" / name).write_bytes(picture(len(name)))
    found = open_labeled(tmp_path / "flat")
    assert [item.person for item in found.read()] == ["Ann_Lee", "Ann_Lee", "Bob"]
    assert any("file names" in note for note in found.notes)
    for name in ("IMG_0001.jpg", "IMG_0002.jpg", "DSC_0001.jpg", "photo_0001.jpg"):
        (tmp_path / "camera").mkdir(exist_ok=True)
        (tmp_path / "camera" / name).write_bytes(picture(3))
    with pytest.raises(ValueError, match="outside any identity folder"):
        open_labeled(tmp_path / "camera")


# The commands


def test_info_says_what_is_there_and_what_is_odd(folder, tmp_path, capsys):
    (folder / "Zoë" / "twin.png").write_bytes((folder / "bob" / "bob_0000.PNG").read_bytes())
    (folder / "Zoë" / "again.png").write_bytes((folder / "Zoë" / "Zoë_0000.PNG").read_bytes())
    assert main(["data", "info", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "folder of images: 8 images of 3 identities" in out and "112x112" in out
    assert "1 identity has one image" in out and "first: bob" in out
    assert "1 photo appears under two identities" in out
    assert "1 file repeats a photo of the same identity" in out
    assert "112x112       8 of 8 sampled images" in out
    assert main(["data", "info", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["identities"], found["sizes"]) == (8, 3, {"112x112": 8})


def test_empty_files_are_counted_and_are_no_photo_of_two_identities(tmp_path, capsys):
    for name, content in (("ann/1.jpg", b""), ("bob/1.jpg", b""), ("bob/2.png", picture(1))):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    assert main(["data", "info", str(tmp_path / "in")]) == 0
    out = capsys.readouterr().out
    assert "2 files are empty" in out and "under two identities" not in out
    assert "unreadable    2 of 3 sampled images" in out


@pytest.mark.parametrize("name", ["a.jpg", "a.onnx", "a.safetensors", "photos"])
def test_what_is_no_data_set_is_told_what_is(name, tmp_path, capsys):
    (tmp_path / name).write_bytes(picture(1))
    said = refused(capsys, "data", "info", str(tmp_path / name))
    assert f"{name} is not a data set; name a folder or .zip, .rec, .bin, .parquet, .tar, .csv, .npy" in said


def test_info_of_pairs(tmp_path, capsys):
    (tmp_path / "lfw.bin").write_bytes(BINS["protocol 4"])
    found = inspect(open_labeled(tmp_path / "lfw.bin"))
    assert (found.images, found.identities, found.notes) == (8, None, ("2 genuine and 2 impostor pairs",))
    assert "evaluate MODEL --bin" in refused(
        capsys, "data", "convert", tmp_path / "lfw.bin", tmp_path / "out"
    )


def test_convert_refuses_what_is_there_and_others_point_to_it(folder, tmp_path, capsys):
    assert main(["data", "convert", str(folder), str(tmp_path / "a.rec")]) == 0
    assert "6 images written" in capsys.readouterr().out
    assert "already exists" in refused(capsys, "data", "convert", folder, tmp_path / "a.rec")
    assert "data convert a.rec" in refused(capsys, "data", "prepare", tmp_path / "a.rec", tmp_path / "out")
    assert "does not exist" in refused(capsys, "data", "info", tmp_path / "nowhere.rec")
