"""Shards of a run: every photo once, resumed alone, merged by their records."""

import pytest
from PIL import Image

from facelab.data.files import Written
from facelab.evaluation import photo_pool, shards
from facelab.evaluation.photo_pool import prepare

NAMES = [f"p{i // 4}/{i}.png" for i in range(10)]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Return a folder of photos of which each is taken for its own crop, but one has no face."""
    for i, name in enumerate(NAMES):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (112, 112), (i, 0, 0)).save(tmp_path / "photos" / name)

    def copied(item):
        _, name, target = item
        if name == NAMES[7]:
            return name, "no face was found"
        target = photo_pool.Path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(name.encode())
        return name, ""

    monkeypatch.setattr(photo_pool, "_prepare_photo", copied)
    return str(tmp_path / "photos")


def crops(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.jpg"))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 13])
def test_shards_take_every_name_once(count):
    parts = [shards.share(NAMES[::-1], (i, count)) for i in range(1, count + 1)]
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert parts == [shards.share(NAMES, (i, count)) for i in range(1, count + 1)]  # on any machine's order
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_in_any_order_make_the_crops_of_one_run_and_the_last_reports_all(photos, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    prepare(photos, str(whole))
    notes = [prepare(photos, str(out), shard=(i, 3)).notes[-1] for i in (2, 3)]
    assert notes[0] == "shard 2 of 3 is done; not done yet: 1, 3" and notes[1].endswith("not done yet: 1")
    last = prepare(photos, str(out), shard=(1, 3))
    assert last.notes[-1] == "all 3 shards are done: 9 crops, 1 failed"
    assert last.failures == ((NAMES[7], "no face was found"),)
    assert crops(out) == crops(whole) and len(crops(out)) == 9
    assert photo_pool.ImageFolder(str(out)).names == photo_pool.ImageFolder(str(whole)).names


def test_the_list_of_labels_comes_with_the_first_shard(photos, tmp_path):
    (tmp_path / "photos" / "labels.txt").write_text("p0/0.png Ann")
    prepare(photos, str(tmp_path / "out"), shard=(2, 2))
    assert not (tmp_path / "out" / "labels.txt").exists()
    prepare(photos, str(tmp_path / "out"), shard=(1, 2))
    assert (tmp_path / "out" / "labels.txt").read_text() == "p0/0.png Ann"


def test_a_stopped_shard_goes_on_alone(photos, tmp_path):
    out = tmp_path / "out"

    def stop(items, total, label):
        for i, item in enumerate(items):
            yield item
            if i == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(photos, str(out), track=stop, shard=(1, 2))
    assert "not done yet: 1" in prepare(photos, str(out), shard=(2, 2)).notes[-1]
    done = prepare(photos, str(out), shard=(1, 2))
    assert (done.written, done.kept) == (3, 2) and "all 2 shards are done: 9 crops" in done.notes[-1]


def test_shards_that_do_not_fit_together_are_refused(photos, tmp_path):
    out = tmp_path / "out"
    prepare(photos, str(out), shard=(1, 2))
    with pytest.raises(ValueError, match="was begun in 2 shards, not 3"):
        prepare(photos, str(out), shard=(2, 3))
    (tmp_path / "photos" / NAMES[0]).unlink()
    with pytest.raises(ValueError, match="was begun with other photos; give every shard the same source"):
        prepare(photos, str(out), shard=(2, 2))


def test_a_damaged_record_counts_as_not_begun(tmp_path):
    shards.begin(tmp_path, (1, 2), NAMES)
    shards.end(tmp_path, (1, 2), Written(5, 0))
    (tmp_path / shards.FOLDER / "1-of-2.json").write_text("{", encoding="utf-8")
    shards.begin(tmp_path, (2, 2), NAMES)
    assert "not done yet: 1" in shards.end(tmp_path, (2, 2), Written(5, 0)).notes[-1]


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/1000000", "1/2/3", "1.0/2"])
def test_a_shard_is_two_numbers(text):
    assert shards.parse_shard("2/8") == (2, 8)
    with pytest.raises(ValueError, match="it must be i/n with i from 1 to n"):
        shards.parse_shard(text)
