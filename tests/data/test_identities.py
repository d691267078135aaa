"""Who is on an image: one reading for every command, told where it is not plain, refused where unsure."""

import pytest

from facelab.data.identities import identify, parse_labels
from tests.conftest import one_sentence


def read(names, lists=None, empty=()):
    """({image: identity}, notes) of a source called `src`."""
    found = identify(sorted(names), lists, empty, "src")
    return found.people, found.notes


def crowd(pattern: str, people=("Ann", "Bob", "Cid"), **folders) -> list[str]:
    """Names made from a pattern for each person and each of `x` (default: none)."""
    return [pattern.format(p=p, x=x, i=i) for p in people for x in folders.get("x", [""]) for i in range(2)]


def people_of(names) -> list[str]:
    return sorted(set(read(names)[0].values()))


def test_the_plain_layout_needs_no_word():
    names = crowd("{p}/{i}.jpg")
    assert read(names) == ({name: name[:3] for name in sorted(names)}, ())


@pytest.mark.parametrize(
    "x",
    [
        ["session0", "session1"], ["Session 01", "Session 02"], ["cam_a", "cam_b"], ["camera1", "camera2"],
        ["2020-05-01", "2021-06-02"], ["20200501", "20210602"], ["frontal", "profile"], ["day1", "day2"],
        ["images"], ["left cam", "right cam"], ["0", "1", "2"], ["a", "b"], ["home", "work"],
        ["no_glasses", "glasses"], ["session0/cam1", "session1/cam2"], ["kitchen"],
    ],
    ids=str,
)  # fmt: skip
def test_folders_inside_a_persons_are_sessions(x):
    deep, flat = crowd("{p}/{x}/{i}.jpg", x=x), crowd("{p}/{i}.jpg")
    assert people_of(deep) == people_of(flat) == ["Ann", "Bob", "Cid"]
    found, notes = read(deep)
    assert all(person == name[:3] for name, person in found.items())
    assert len(notes) == 1 and "sessions" in notes[0]


@pytest.mark.parametrize("wrapper", ["crops", "a/b", "lfw-deepfunneled/lfw-deepfunneled", "photos"])
def test_a_wrapper_folder_is_passed_over(wrapper):
    found, notes = read(crowd(wrapper + "/{p}/{i}.jpg"))
    assert sorted(set(found.values())) == ["Ann", "Bob", "Cid"]
    assert notes == (f"src: the people are the folders inside {wrapper}",)
    sessions = crowd(wrapper + "/{p}/{x}/{i}.jpg", x=["session0", "session1"])
    assert people_of(sessions) == ["Ann", "Bob", "Cid"]


def test_one_person_with_sessions_is_one_person():
    for x in (["session0", "session1"], ["clip1", "clip2"], ["video_a", "video_b"]):
        assert people_of(crowd("{p}/{x}/{i}.jpg", ["Ann"], x=x)) == ["Ann"]
    assert people_of(crowd("{p}/{i}.jpg", ["Ann"])) == ["Ann"]


@pytest.mark.parametrize("place", ["", "photos/", "photos/images/", "data/", "my set/Pictures/"])
def test_loose_strangers_are_never_one_person(place):
    names = [f"{place}{i}.jpg" for i in range(6)]
    with pytest.raises(ValueError, match=r"src holds images outside any identity folder \(first: .*0\.jpg\)"):
        read(names)
    with pytest.raises(ValueError, match="outside any identity folder"):
        read([*crowd("{p}/{i}.jpg"), "stray.jpg"])
    with pytest.raises(ValueError, match="outside any identity folder"):
        read([*crowd("crops/{p}/{i}.jpg"), "crops/cover.jpg"])


@pytest.mark.parametrize(
    ("train", "other"), [("train", "val"), ("train", "test"), ("Train", "Dev"), ("train_data", "val_data"),
                         ("training", "validation")],
)  # fmt: skip
@pytest.mark.parametrize("wrapper", ["", "cls_data/", "homework/classification_data/"])
def test_of_splits_the_training_one_is_taken_and_told(wrapper, train, other):
    names = [
        f"{wrapper}{split}/{p}/{i}.jpg" for split in (train, other) for p in ("Ann", "Bob") for i in (0, 1)
    ]
    found, notes = read(names)
    assert sorted(set(found.values())) == ["Ann", "Bob"]
    assert set(found) == {name for name in names if f"{train}/" in name}
    assert len(notes) == 1 and f"{train}/ is used, and {other}/ not" in notes[0]


def test_the_homeworks_root_is_its_training_set():
    root = [f"cls_data/{split}/images/{i}.jpg" for split in ("train", "dev", "test") for i in range(4)]
    root += [f"ver_data/{i}.jpg" for i in range(9)]
    lists = {
        f"cls_data/{split}/labels.txt": "0.jpg 7\n1.jpg 7\n2.jpg 9\n3.jpg 9\n" for split in ("train", "dev")
    }
    found, notes = read(root, lists)
    assert found == {f"cls_data/train/images/{i}.jpg": "7799"[i] for i in range(4)}
    assert "cls_data/ is used, and ver_data/ not" in notes[0] and "train/ is used" in notes[1]
    below = [name.removeprefix("cls_data/") for name in root if name.startswith("cls_data/")]
    again = {name.removeprefix("cls_data/"): text for name, text in lists.items()}
    assert list(read(below, again)[0].values()) == list("7799")


def test_splits_without_a_training_one_are_refused():
    for names in (crowd("{x}/{p}/{i}.jpg", x=["dev", "test"]), ["val/1.jpg", "test/2.jpg"]):
        with pytest.raises(ValueError, match="which are splits of one set; give one of them"):
            read(names)
    with pytest.raises(ValueError, match="outside any identity folder"):
        read(["train/1.jpg", "test/2.jpg"])


def test_groups_of_people_are_seen_by_their_names_or_sizes():
    assert people_of(["males/Ann/1.jpg", "males/Bob/1.jpg", "females/Cid/1.jpg"]) == [
        "females/Cid", "males/Ann", "males/Bob"
    ]  # fmt: skip
    assert len(people_of([f"{n % 3}x/p{n}/{i}.jpg" for n in range(60) for i in range(2)])) == 60
    assert people_of(["A/Ann/1.jpg", "A/Abe/1.jpg", "B/Bob/1.jpg"]) == ["A/Abe", "A/Ann", "B/Bob"]
    found, notes = read(crowd("{x}/{p}/{i}.jpg", x=["session0", "session1"]))
    assert (
        sorted(set(found.values())) == ["Ann", "Bob", "Cid"]
        and "one name in several is one person" in notes[0]
    )


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (crowd("{x}/{p}/{i}.jpg", x=["part1", "part2"]), "Ann is in part1 and in part2, which may"),
        (crowd("{x}/{p}/{i}.jpg", x=["lfw", "mine"]), "Ann is in lfw and in mine"),
        (["Ann/home/1.jpg", "Ann/work/1.jpg", "Bob/gym/1.jpg", "Bob/party/1.jpg"], "it is unclear whether"),
        (["session0/1.jpg", "session1/2.jpg"], "name no person"),
        (["Ann/1.jpg", "more/Bob/1.jpg", "more/Cid/1.jpg"], "people at two levels: Ann holds images"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_refused_in_one_sentence(names, words):
    with pytest.raises(ValueError, match=words) as error:
        read(names)
    assert one_sentence(str(error.value))


def test_a_list_is_found_wherever_it_lies():
    text = "0.jpg ann\n1.jpg bob\n2.jpg ann\n"
    wanted = ["ann", "bob", "ann"]
    for place, lists in (
        ("images/", "labels.txt"), ("wrap/images/", "wrap/labels.txt"), ("images/", "images/labels.txt"),
        ("", "labels.txt"), ("faces/", "labels.txt"), ("a/b/", "a/b/labels.txt"), ("a/b/", "labels.txt"),
    ):  # fmt: skip
        for stray in ([], ["cover.jpg"]):
            names = [*(f"{place}{i}.jpg" for i in range(3)), *stray]
            found = identify(names, {lists: text}, (), "src")
            assert list(found.people.values()) == wanted, (place, lists, stray)
            assert list(found.unnamed) == stray
            assert f"{lists} gives the identity of each image" in found.notes[0]
            assert ("cover.jpg" in found.notes[0]) == bool(stray)


def test_a_list_of_other_things_is_not_used():
    names = crowd("{p}/{i}.jpg")
    for text in ("0 Ann\n1 Bob\n", "Ann\nBob\nCid\n", ""):
        found, notes = read(names, {"labels.txt": text})
        assert sorted(set(found.values())) == ["Ann", "Bob", "Cid"]
        assert notes == ("labels.txt does not name any image here and was not used",)
    with pytest.raises(ValueError, match="names no image that is there"):
        read(["images/0.jpg"], {"labels.txt": "9.jpg ann"})


def test_lines_of_a_list():
    text = "a b.jpg 7\nc.jpg\tAnn Li\nd.jpg,Bo, Jr\n\n"
    assert parse_labels(text, "x") == {"a b.jpg": "7", "c.jpg": "Ann Li", "d.jpg": "Bo, Jr"}
    spaced = "a 0.JPG Ann Lee\na 1.jpg Bob Lee\nb/2.jpeg  x.jpg y\n"
    assert parse_labels(spaced, "x") == {"a 0.JPG": "Ann Lee", "a 1.jpg": "Bob Lee", "b/2.jpeg": "x.jpg y"}
    with pytest.raises(ValueError, match=r"x, line 2: a\.jpg is 8 here and 7 on an earlier line"):
        parse_labels("a.jpg 7\na.jpg 8\n", "x")
    crops = identify(["images/0.jpg"], {"labels.txt": "0.png 7"}, (), "src")  # as `data prepare` leaves them
    assert crops.people == {"images/0.jpg": "7"}


@pytest.mark.parametrize("inside", [["train"], ["train", "test"], ["images"], ["Photos", "data"]], ids=str)
def test_data_sets_side_by_side_are_no_people(inside):
    names = crowd("setA/{x}/{p}/{i}.jpg", x=inside) + crowd("setB/{x}/{p}/{i}.jpg", x=inside)
    with pytest.raises(ValueError, match="like a data set, not like a person; give one of them at a time"):
        read(names)


def test_one_name_in_two_spellings_of_unicode_is_one_person():
    assert people_of(["Zoe\u0308/1.jpg", "Zo\u00eb/2.jpg", "Bob/1.jpg"]) == ["Bob", "Zoë"]
    assert people_of(["caf\udce9/1.jpg", "b/1.jpg"]) == ["b", "caf\\xe9"]


def test_empty_folders_of_the_part_that_is_taken_are_named():
    names = [f"{split}/{p}/0.jpg" for split in ("train", "val") for p in ("Ann", "Bob")]
    found = identify(names, {}, ("train/Cid", "val/Cid"), "src")
    assert found.empty == ("train/Cid",)
