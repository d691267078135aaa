"""Many photos: parallel equals serial, a stopped run goes on, failures are listed, `out` is never left."""

import json
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.data.folders import ImageFolder
from facelab.evaluation import photo_pool as bulk
from facelab.evaluation.photo_pool import embed_images, prepare
from facelab.photos import faces
from facelab.photos.faces import find_faces, main_face, read_photo
from facelab.recognition.embedder import load
from tests.conftest import encoded, one_sentence


@pytest.fixture
def detections(monkeypatch) -> Counter:
    """Counts the photos on which the detector was run in this process."""
    count: Counter = Counter()

    def counted(photo):
        count["photos"] += 1
        return find_faces(photo)

    monkeypatch.setattr(bulk, "find_faces", counted)
    return count


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(np.allclose(a[k], b[k], atol=1e-6) for k in a)


def test_embeddings_are_those_of_each_photo_by_itself(album, tiny_checkpoint):
    folder = ImageFolder(album)
    names = folder.names[:5]
    vectors, failures = embed_images(str(tiny_checkpoint), folder, names)
    assert list(failures) == ["p0/p0_0004.jpg"] and "no face was found; use" in failures["p0/p0_0004.jpg"]
    embedder = load(str(tiny_checkpoint))
    for name in set(names) - set(failures):
        photo = read_photo(album / name)
        alone = embedder.embed(photo, [main_face(find_faces(photo), photo)])[0]
        assert np.allclose(vectors[name], alone, atol=1e-6)


def test_parallel_equals_serial_from_a_zip_as_from_a_folder(album, tiny_checkpoint, tmp_path):
    archive = tmp_path / "album.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(album.rglob("*.jpg")):
            opened.write(path, path.relative_to(album).as_posix())
    folder = ImageFolder(album)
    assert len(folder.names) > bulk.FEW  # so that processes are started
    serial = embed_images(str(tiny_checkpoint), folder, folder.names, jobs=1)
    parallel = embed_images(str(tiny_checkpoint), ImageFolder(archive), folder.names, jobs=2)
    assert same(serial[0], parallel[0]) and list(serial[0]) == list(parallel[0])
    assert serial[1] == parallel[1]


def test_a_second_run_detects_nothing_again(album, tiny_checkpoint, tmp_path, detections):
    folder = ImageFolder(album)
    first = embed_images(str(tiny_checkpoint), folder, folder.names, cache=tmp_path)
    assert detections["photos"] == len(folder.names)
    second = embed_images(str(tiny_checkpoint), folder, folder.names, cache=tmp_path)
    assert detections["photos"] == len(folder.names)
    assert same(first[0], second[0]) and first[1] == second[1]


def test_an_interrupted_run_goes_on_where_it_was(album, tiny_checkpoint, tmp_path, detections):
    folder = ImageFolder(album)

    def stop(items, total, label):
        for i, item in enumerate(items):
            if i == 4:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        embed_images(str(tiny_checkpoint), folder, folder.names, cache=tmp_path, track=stop)
    seen = detections["photos"]
    embed_images(str(tiny_checkpoint), folder, folder.names, cache=tmp_path)
    assert detections["photos"] <= len(folder.names) + 1 and seen >= 4
    embed_images(str(tiny_checkpoint), folder, folder.names, cache=tmp_path)
    assert detections["photos"] <= len(folder.names) + 1


@pytest.mark.parametrize("tail", ['["p3/p3_0002.jpg", [1.0, 2', "5\n", "{}\n", "[]\n", "\n\n", '["x"'])
def test_a_cut_short_or_foreign_cache_line_costs_one_photo_at_most(
    tail, album, tiny_checkpoint, tmp_path, detections
):
    folder = ImageFolder(album)
    names = folder.names[:3]
    expected = embed_images(str(tiny_checkpoint), folder, names, cache=tmp_path)
    (log,) = tmp_path.glob("faces-*.jsonl")
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:2]) + tail)
    for _ in range(2):
        again = embed_images(str(tiny_checkpoint), folder, names, cache=tmp_path)
        assert same(expected[0], again[0])
    assert detections["photos"] == 3 + 1
    good = [line for line in log.read_text().splitlines() if line.startswith('["p0') and line.endswith("]")]
    assert [json.loads(line)[0] for line in good] == names


def test_a_changed_photo_is_looked_at_again(album, tiny_checkpoint, tmp_path, detections):
    name = "p1/p1_0001.jpg"
    (tmp_path / "photos" / "p1").mkdir(parents=True)
    copy = tmp_path / "photos" / name
    copy.write_bytes((album / name).read_bytes())
    for _ in range(2):
        embed_images(str(tiny_checkpoint), ImageFolder(tmp_path / "photos"), [name], cache=tmp_path / "cache")
    copy.write_bytes((album / "p2" / "p2_0001.jpg").read_bytes())
    embed_images(str(tiny_checkpoint), ImageFolder(tmp_path / "photos"), [name], cache=tmp_path / "cache")
    assert detections["photos"] == 2


def test_aligned_crops_are_embedded_as_they_are(tiny_checkpoint, tmp_path, detections):
    (tmp_path / "a").mkdir()
    Image.effect_noise((112, 112), 60).convert("RGB").save(tmp_path / "a" / "0.png")
    Image.new("RGB", (112, 200)).save(tmp_path / "a" / "1.png")
    folder = ImageFolder(tmp_path)
    vectors, failures = embed_images(str(tiny_checkpoint), folder, folder.names, aligned=True, cache=tmp_path)
    assert list(vectors) == ["a/0.png"]
    assert failures == {"a/1.png": "112x200 is not an aligned 112x112 crop; leave --aligned out"}
    assert not detections and not list(tmp_path.glob("*.jsonl"))


def test_bad_photos_are_listed_and_stop_nothing(album, tiny_checkpoint, tmp_path):
    archive = tmp_path / "mixed.zip"
    good = (album / "p1" / "p1_0001.jpg").read_bytes()
    files = {"a/empty.jpg": b"", "a/good.jpg": good, "a/short.jpg": good[:3000], "a/text.jpg": b"hello",
             "a/tiny.png": encoded(Image.new("RGB", (1, 1)), "PNG"), "b/torn.jpg": good}  # fmt: skip
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
        at = opened.getinfo("b/torn.jpg").header_offset
    data = bytearray(archive.read_bytes())
    data[at + 1000] ^= 255
    archive.write_bytes(data)
    vectors, failures = embed_images(str(tiny_checkpoint), ImageFolder(archive), sorted(files))
    assert list(vectors) == ["a/good.jpg"]
    assert set(failures) == set(files) - {"a/good.jpg"}
    assert all(one_sentence(reason, tmp_path) for reason in failures.values())


def test_an_unknown_model_or_job_count_fails_once_and_early(album, tiny_checkpoint, detections):
    folder = ImageFolder(album)
    with pytest.raises(ValueError, match="there is no model 'nobody'"):
        embed_images("nobody", folder, folder.names, jobs=2)
    with pytest.raises(ValueError, match="--jobs is 0; it must be 1 or more"):
        embed_images(str(tiny_checkpoint), folder, folder.names, jobs=0)
    assert not detections


# Cutting crops


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_prepare_keeps_the_structure_and_the_crops_are_the_detectors(album, tmp_path):
    done = prepare(str(album), str(tmp_path / "out"))
    assert (done.written, done.kept) == (12, 0)
    assert [name for name, _ in done.failures] == ["p0/p0_0004.jpg"]
    assert files_below(tmp_path / "out") == files_below(album) - {"p0/p0_0004.jpg"}
    photo = read_photo(album / "p2" / "p2_0003.jpg")
    crop = np.asarray(Image.open(tmp_path / "out" / "p2" / "p2_0003.jpg"))
    assert crop.shape == (112, 112, 3)
    assert np.abs(crop.astype(int) - main_face(find_faces(photo), photo).crop).mean() < 2


def test_prepare_goes_on_where_it_was(album, tmp_path, detections, monkeypatch):
    out = tmp_path / "out"

    def stop(items, total, label):
        for i, item in enumerate(items):
            yield item
            if i == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(str(album), str(out), track=stop)
    first = {name: (out / name).stat().st_mtime_ns for name in files_below(out)}
    assert len(first) == 3  # and one without a face
    done = prepare(str(album), str(out))
    assert (done.written, done.kept) == (9, 3)
    assert all((out / name).stat().st_mtime_ns == when for name, when in first.items())
    assert not [name for name in files_below(out) if "part" in name]


class Threads(ThreadPoolExecutor):
    """Workers without the start of processes; what they get has been pickled, as for those."""

    def __init__(self, jobs: int, context: object, start: Callable) -> None:
        super().__init__(jobs)

    def map(self, task: Callable, items: Sequence, chunksize: int) -> Iterator:
        return super().map(task, pickle.loads(pickle.dumps(items)))


def test_prepare_in_parallel_writes_the_same_crops(album, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "ProcessPoolExecutor", Threads)
    prepare(str(album), str(tmp_path / "one"))
    done = prepare(str(album), str(tmp_path / "two"), jobs=2)
    assert (done.written, len(done.failures)) == (12, 1)
    assert files_below(tmp_path / "one") == files_below(tmp_path / "two")
    for name in files_below(tmp_path / "one"):
        a, b = (np.asarray(Image.open(tmp_path / run / name)).astype(int) for run in ("one", "two"))
        assert np.abs(a - b).max() <= 2


def test_two_photos_that_differ_in_their_suffix_keep_two_crops(album, tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    with Image.open(album / "p1" / "p1_0001.jpg") as image:
        image.save(tmp_path / "in" / "a" / "x.png")
        image.save(tmp_path / "in" / "a" / "x.jpg")
        image.save(tmp_path / "in" / "a" / "y.webp")
    for expected in ((3, 0), (0, 3)):
        done = prepare(str(tmp_path / "in"), str(tmp_path / "out"))
        assert (done.written, done.kept) == expected
    assert files_below(tmp_path / "out") == {"a/x.jpg", "a/x.png.jpg", "a/y.jpg"}


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/tmp/facelab-evil.jpg", "a/../../evil.jpg", "..\\evil.jpg", "C:evil.jpg"]
)
def test_hostile_names_write_nothing_anywhere(name, album, tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as opened:
        opened.writestr(name, (album / "p1" / "p1_0001.jpg").read_bytes())
    with pytest.raises(ValueError, match="entry outside its own folder"):
        prepare(str(tmp_path / "evil.zip"), str(tmp_path / "deep" / "out"))
    assert files_below(tmp_path) == {"evil.zip"}
    assert not Path("/tmp/facelab-evil.jpg").exists()


def test_strange_but_harmless_names_stay_inside_out(album, tmp_path):
    content = (album / "p1" / "p1_0001.jpg").read_bytes()
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as opened:
        for name in ("a/-rf ~.jpg", "a\\b.jpg", "a/%2e%2e%2fx.jpg", "å/ß.JPEG", "a/x.y.jpg", "./b/c.jpg"):
            opened.writestr(name, content)
    done = prepare(str(tmp_path / "odd.zip"), str(tmp_path / "out"))
    assert done.written == 6 and not done.failures
    assert {p.name for p in tmp_path.iterdir()} == {"odd.zip", "out"}
    assert len(files_below(tmp_path / "out")) == 6


def test_crops_are_not_put_among_the_photos(crop_folder):
    before = files_below(crop_folder)
    for out in (crop_folder, crop_folder / "crops", crop_folder / ".." / crop_folder.name):
        with pytest.raises(ValueError, match="so that crops would be taken for photos"):
            prepare(str(crop_folder), str(out))
    assert files_below(crop_folder) == before


def test_a_disk_that_fills_up_stops_the_run_and_leaves_no_part(album, tmp_path, monkeypatch):
    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bulk.Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        prepare(str(album), str(tmp_path / "out"))
    assert files_below(tmp_path / "out") == set()


def test_faces_that_another_detector_found_are_not_reused(
    album, tiny_checkpoint, tmp_path, detections, monkeypatch
):
    folder = ImageFolder(album)
    names = folder.names[:1]
    for confidence, looked_at in ((0.95, 1), (0.95, 1), (0.5, 2)):
        monkeypatch.setattr(bulk, "DETECTOR", f"mtcnn-960-40-{confidence}")
        embed_images(str(tiny_checkpoint), folder, names, cache=tmp_path)
        assert detections["photos"] == looked_at


def test_the_detectors_name_holds_all_that_faces_says_of_it():
    for value in (faces.DETECTION_SIDE, faces.MIN_FACE, faces.MIN_CONFIDENCE, faces.SURE_CONFIDENCE):
        assert str(value) in bulk.DETECTOR.split("-")


def test_a_photo_that_could_not_be_read_is_tried_again_and_one_without_a_face_is_not(
    album, tiny_checkpoint, tmp_path, detections, monkeypatch
):
    """Mended with its size and time unchanged: a disk that was away, a right that was missing."""
    folder, names = ImageFolder(album), ["p0/p0_0004.jpg", "p1/p1_0001.jpg", "p2/p2_0001.jpg"]
    read = ImageFolder.read

    def broken(self, name):
        if name == names[1]:
            raise ValueError(f"{name} cannot be read; copy it again")
        return b"" if name == names[2] else read(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "read", broken)
        _, failures = embed_images(str(tiny_checkpoint), folder, names, cache=tmp_path)
    assert set(failures) == set(names) and detections["photos"] == 1
    for looked_at in (3, 3):
        vectors, failures = embed_images(str(tiny_checkpoint), folder, names, cache=tmp_path)
        assert list(vectors) == names[1:] and list(failures) == names[:1]
        assert detections["photos"] == looked_at
