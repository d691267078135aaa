"""Pairs files: both forms are read as written, malformed lines are named, images are matched or missed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.data.matching import resolve
from facelab.data.pairs import FOLDS, read_pairs, read_people, read_unlabeled_pairs, suspicious
from tests.conftest import one_sentence


def written(tmp_path, text: str):
    path = tmp_path / "pairs.txt"
    path.write_bytes(text.encode())
    return path


# LFW's form


def test_lfw_lines_become_images_truth_and_folds(tmp_path):
    pairs = read_pairs(
        written(tmp_path, "2\t1\nAnn\t1\t4\nAnn\t10\tBo_Li\t2\nBo_Li\t3\t12\nCy\t1\tAnn\t2345\n")
    )
    assert pairs.first == ("Ann/Ann_0001", "Ann/Ann_0010", "Bo_Li/Bo_Li_0003", "Cy/Cy_0001")
    assert pairs.second == ("Ann/Ann_0004", "Bo_Li/Bo_Li_0002", "Bo_Li/Bo_Li_0012", "Ann/Ann_2345")
    assert pairs.same.tolist() == [True, False, True, False] and pairs.same.dtype == bool
    assert pairs.folds.tolist() == [0, 0, 1, 1]
    assert len(pairs) == 4


def test_lfw_view_one_has_one_fold_and_any_separator(tmp_path):
    pairs = read_pairs(written(tmp_path, "﻿1\r\n\r\nAnn 1 4\r\nAnn 1 Bo 2\r\n"))
    assert pairs.folds.tolist() == [0, 0] and pairs.same.tolist() == [True, False]


def test_the_real_lists(shared):
    view2 = read_pairs(shared / "lfw-protocol" / "pairs.txt")
    assert len(view2) == 6000
    assert np.bincount(view2.folds).tolist() == [600] * 10
    assert all(view2.same[view2.folds == fold].sum() == 300 for fold in range(10))
    assert all(
        (a.split("/")[0] == b.split("/")[0]) == same
        for a, b, same in zip(view2.first, view2.second, view2.same)
    )
    train, test = (read_pairs(shared / "lfw-protocol" / f"pairsDev{part}.txt") for part in ("Train", "Test"))
    assert (len(train), len(test)) == (2200, 1000) and len(train) + len(test) == 3200
    assert train.same.sum() == 1100 and test.same.sum() == 500


def test_every_image_of_the_real_list_is_in_the_real_archive(shared):
    from facelab.data.folders import ImageFolder

    folder = ImageFolder(shared / "lfw250.zip")
    assert len(folder.names) == 13_233
    pairs = read_pairs(shared / "lfw-protocol" / "pairs.txt")
    names = resolve(pairs.first + pairs.second, folder.names)
    assert all(key.split("/")[1] in name for key, name in zip(pairs.first + pairs.second, names))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (2, "1 1\nAnn 1\nAnn 1 Bo 2\n"),
        (3, "1 1\nAnn 1 2\nAnn one Bo 2\n"),
        (3, "1 1\nAnn 1 2\nAnn 1 Bo two\n"),
        (4, "1 1\n\nAnn 1 2\nAnn 1 Bo 2 3\n"),
        (3, "1 1\nAnn 1 2\nAnn ² Bo 2\n"),
        (2, "1 1\n\t1\t2\nAnn 1 Bo 2\n"),
    ],
)
def test_a_malformed_lfw_line_is_answered_by_its_number(line, text, tmp_path):
    with pytest.raises(ValueError, match=rf"pairs.txt, line {line}: expected `name i j`") as error:
        read_pairs(written(tmp_path, text))
    assert one_sentence(str(error.value), tmp_path)


@pytest.mark.parametrize("text", ["1 2\nAnn 1 2\nAnn 1 Bo 2\n", "0\n", "0 300\n", "10 300\n", "1\nAnn 1 2\n"])
def test_a_cut_lfw_list_is_refused(text, tmp_path):
    with pytest.raises(ValueError, match=r"declares \d+ pairs and holds \d+; it may be cut short"):
        read_pairs(written(tmp_path, text))


# The plain form


@pytest.mark.parametrize(
    "text",
    [
        "a/x.jpg b/y.jpg 1\na/x.jpg c/z.jpg 0\n",
        "a/x.jpg\tb/y.jpg\t1\na/x.jpg\tc/z.jpg\t0",
        "a/x.jpg, b/y.jpg, 1\r\na/x.jpg, c/z.jpg, 0\r\n",
        "img1,img2,label\na/x.jpg,b/y.jpg,1\n\na/x.jpg,c/z.jpg,0\n",
        "﻿first second Same\na/x.jpg b/y.jpg 1\na/x.jpg c/z.jpg 0\n",
    ],
    ids=["spaces", "tabs", "commas", "header", "mark and header"],
)
def test_the_plain_form_in_every_dress(text, tmp_path):
    pairs = read_pairs(written(tmp_path, text))
    assert pairs.first == ("a/x.jpg", "a/x.jpg") and pairs.second == ("b/y.jpg", "c/z.jpg")
    assert pairs.same.tolist() == [True, False] and pairs.same.dtype == bool
    assert pairs.folds.tolist() == [0, 0]


DRESSES = {
    "semicolons": "a/x.jpg;b/y.jpg;1\na/x.jpg;c/z.jpg;0\n",
    "quoted": '"a/x.jpg","b/y.jpg","1"\n"a/x.jpg","c/z.jpg","0"\n',
    "quoted with spaces": '"a/x.jpg" "b/y.jpg" 1\n"a/x.jpg" "c/z.jpg" 0\n',
    "plus and minus one": "a/x.jpg b/y.jpg +1\na/x.jpg c/z.jpg -1\n",
    "True and False": "a/x.jpg,b/y.jpg,True\na/x.jpg,c/z.jpg,False\n",
    "same and different": "a/x.jpg b/y.jpg same\na/x.jpg c/z.jpg different\n",
    "1.0 and 0.0": "a/x.jpg b/y.jpg 1.0\na/x.jpg c/z.jpg 0.0\n",
    "label first": "1 a/x.jpg b/y.jpg\n0 a/x.jpg c/z.jpg\n",
    "label first, titled": "label,image1,image2\n1,a/x.jpg,b/y.jpg\n0,a/x.jpg,c/z.jpg\n",
    "titles of images alone": "img1,img2,what\na/x.jpg,b/y.jpg,1\na/x.jpg,c/z.jpg,0\n",
    "index of pandas": ",image1,image2,label\n0,a/x.jpg,b/y.jpg,1\n1,a/x.jpg,c/z.jpg,0\n",
    "old Macintosh lines": "a/x.jpg b/y.jpg 1\ra/x.jpg c/z.jpg 0\r",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("dress", DRESSES)
def test_what_other_programs_write_is_read(dress, encoding, tmp_path):
    (tmp_path / "pairs.csv").write_bytes(DRESSES[dress].encode(encoding))
    pairs = read_pairs(tmp_path / "pairs.csv")
    assert pairs.first == ("a/x.jpg", "a/x.jpg") and pairs.second == ("b/y.jpg", "c/z.jpg")
    assert pairs.same.tolist() == [True, False]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_names_of_any_script_survive_utf_16(encoding, tmp_path):
    (tmp_path / "pairs.txt").write_bytes("Søren/ä.jpg\t王/明.jpg\t0\n".encode(encoding))
    pairs = read_pairs(tmp_path / "pairs.txt")
    assert (pairs.first, pairs.second) == (("Søren/ä.jpg",), ("王/明.jpg",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg b.jpg 1\na.jpg c.jpg 0\na.jpg d.jpg -1\n", "line 3: expected"),  # is 0 or -1 "different"?
        ("a.jpg b.jpg same\na.jpg c.jpg 0\n", "line 2: expected"),
        ("1 0 1\n0 1 0\n", "the label may be the first or the last field"),
        ("a.jpg b.jpg yes\na.jpg c.jpg maybe\n", "line 2: expected"),
        ("a.jpg,b.jpg\n", "line 1: expected"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text, words, tmp_path):
    with pytest.raises(ValueError, match=words) as error:
        read_pairs(written(tmp_path, text))
    assert one_sentence(str(error.value), tmp_path)


@pytest.mark.parametrize("code", ["latin-1", "cp1251"])
def test_another_code_page_is_refused_and_not_guessed(code, tmp_path):
    (tmp_path / "pairs.txt").write_bytes("é.jpg b.jpg 1\n".encode(code) if code == "latin-1" else b"\xe9 b 1")
    with pytest.raises(ValueError, match="not a text file in UTF-8 or UTF-16; save it as UTF-8"):
        read_pairs(tmp_path / "pairs.txt")


def test_lfw_as_a_table_has_the_folds_of_lfws_own_list(tmp_path):
    """Kaggle's pairs.csv: the lines of pairs.txt under titles, with a comma behind a match."""
    lines = ["name,imagenum1,imagenum2,"]
    lfw = ["3\t2"]
    for fold in range(3):
        for i in (1, 2):
            lines.append(f"Ann{fold},{i},{i + 4},")
            lfw.append(f"Ann{fold}\t{i}\t{i + 4}")
        for i in (1, 2):
            lines.append(f"Ann{fold},{i},Bo_Li,{i}")
            lfw.append(f"Ann{fold}\t{i}\tBo_Li\t{i}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    table, own = read_pairs(tmp_path / "pairs.csv"), read_pairs(written(tmp_path, "\n".join(lfw)))
    assert (table.first, table.second) == (own.first, own.second)
    assert table.same.tolist() == own.same.tolist() and table.folds.tolist() == own.folds.tolist()


def test_kaggles_lists_of_one_kind(tmp_path):
    match = read_pairs(written(tmp_path, "name,imagenum1,imagenum2\nAnn,1,4\nBo_Li,2,3\n"))
    assert match.same.all() and match.second == ("Ann/Ann_0004", "Bo_Li/Bo_Li_0003")
    other = read_pairs(written(tmp_path, "name,imagenum1,name,imagenum2\nAnn,1,Bo_Li,4\n"))
    assert not other.same.any() and other.second == ("Bo_Li/Bo_Li_0004",)
    (tmp_path / "people.csv").write_text("name,images\nAnn,3\nBo_Li,1\n")
    assert read_people(tmp_path / "people.csv") == ["Ann", "Bo_Li"]
    with pytest.raises(ValueError, match="line 2: expected `name i j`"):
        read_pairs(written(tmp_path, "name,imagenum1,imagenum2\nAnn,one,4\n"))


def test_pairs_that_say_nothing_new_are_counted():
    names = ["a", "a", "b", "a", "c", "c"], ["a", "b", "a", "c", "a", "d"]
    same = np.array([True, True, True, True, False, False])
    assert suspicious(names[0] + names[1], same) == {
        "self_pairs": 1, "repeated_pairs": 1, "contradicting_pairs": 1,
    }  # fmt: skip
    assert set(suspicious(["a", "a", "b", "c"], np.array([True, False])).values()) == {0}


def test_names_with_spaces_need_tabs_or_commas(tmp_path):
    pairs = read_pairs(written(tmp_path, "Ann Lee/1 a.jpg\tBo/2.jpg\t1\n"))
    assert pairs.first == ("Ann Lee/1 a.jpg",)


@given(st.integers(0, 60), st.integers(0, 60), st.randoms())
def test_plain_pairs_are_dealt_evenly_into_ten_folds(tmp_path_factory, genuine, impostor, random):
    labels = [1] * genuine + [0] * impostor
    random.shuffle(labels)
    path = tmp_path_factory.mktemp("plain") / "pairs.txt"
    path.write_text("img1 img2 label\n" + "".join(f"a{i} b{i} {label}\n" for i, label in enumerate(labels)))
    if not labels:
        with pytest.raises(ValueError, match="is empty below its header"):
            read_pairs(path)
        return
    pairs = read_pairs(path)
    assert pairs.same.tolist() == [label == 1 for label in labels]
    if min(genuine, impostor) < FOLDS:
        assert set(pairs.folds.tolist()) == {0}
        return
    for kind in (pairs.same, ~pairs.same):
        share = np.bincount(pairs.folds[kind], minlength=FOLDS)
        assert len(share) == FOLDS and share.max() - share.min() <= 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, "a.jpg b.jpg\n"),
        (2, "a.jpg b.jpg 1\na.jpg b.jpg 2\n"),
        (3, "img1 img2 label\na.jpg b.jpg 1\na.jpg b.jpg\n"),
        (3, "a b 1\n\na b yes\n"),
        (2, "a,b,1\n,b,1\n"),
        (2, "a b 1\na b 1 1\n"),
    ],
)
def test_a_malformed_plain_line_is_answered_by_its_number(line, text, tmp_path):
    with pytest.raises(ValueError, match=rf"pairs.txt, line {line}: expected `image1 image2 label`") as error:
        read_pairs(written(tmp_path, text))
    assert one_sentence(str(error.value), tmp_path)


def test_what_is_no_list_is_answered_in_one_sentence(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 \x00\x80")
    (tmp_path / "empty.txt").write_text(" \n\n")
    for name, words in {
        "photo.jpg": "photo.jpg is not a text file", "empty.txt": "empty.txt is empty",
        "missing.txt": "missing.txt does not exist", ".": "is not a text file",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=words) as error:
            read_pairs(tmp_path / name)
        assert one_sentence(str(error.value))


@given(st.text(alphabet="ab01 \t,\n²-./", max_size=60))
def test_any_text_is_read_or_refused_in_one_sentence(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "pairs.txt"
    path.write_text(text)
    try:
        pairs = read_pairs(path)
    except ValueError as error:
        assert one_sentence(str(error))
    else:
        assert len(pairs.first) == len(pairs.second) == len(pairs.same) == len(pairs.folds) > 0


def test_people_files(tmp_path):
    (tmp_path / "people.txt").write_text("2\n2\nAnn\t3\nBo_Li\t1\n1\nCy\t2\n")
    assert read_people(tmp_path / "people.txt") == ["Ann", "Bo_Li", "Cy"]
    with pytest.raises(ValueError, match="does not exist"):
        read_people(tmp_path / "missing.txt")


def test_the_real_people_files(shared):
    train = read_people(shared / "lfw-protocol" / "peopleDevTrain.txt")
    test = read_people(shared / "lfw-protocol" / "peopleDevTest.txt")
    assert (len(train), len(test)) == (4038, 1711) and not set(train) & set(test)


# Matching with the images that are there


def test_keys_match_with_and_without_suffix_and_folder():
    names = ["lfw/Ann/Ann_0001.jpg", "lfw/Bo/Bo_0002.PNG", "x.y/Cy.v1.jpg"]
    keys = ["Ann/Ann_0001", "lfw/Ann/Ann_0001.jpg", "Ann_0001.jpg", "./Bo/Bo_0002", "Cy.v1", "x.y/Cy.v1.jpg"]
    assert resolve(keys, names) == [names[i] for i in (0, 0, 0, 1, 2, 2)]


FORMS = {
    "decomposed": "Ame\u0301lie/1.jpg",
    "composed": "Am\u00e9lie/1.jpg",
    "backslashes": "Am\u00e9lie\\1.jpg",
    "drive": "C:\\data\\faces\\Am\u00e9lie\\1.jpg",
    "absolute": "/home/me/faces/Am\u00e9lie/1.jpg",
    "prefix": "ver_data/Am\u00e9lie/1.jpg",
    "the photo before it was aligned": "Am\u00e9lie/1.png",
    "capital suffix": "Am\u00e9lie/1.JPEG",
}


@pytest.mark.parametrize("stored", ["composed", "decomposed"])
@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_meant_in_every_form_of_its_name(form, stored):
    names = [FORMS[stored], "Bo/1.jpg", "Bo/2.jpg"]
    other = FORMS[form].replace("Am\u00e9lie", "Bo").replace("Ame\u0301lie", "Bo")
    assert resolve([FORMS[form], other], names) == names[:2]


def test_flat_files_are_found_behind_the_path_that_all_keys_share():
    keys = ["ver_data/1.png", "ver_data/2.png"]
    assert resolve(keys, ["1.jpg", "2.jpg"]) == ["1.jpg", "2.jpg"]
    with pytest.raises(ValueError, match=r"2 images .* ver_data/1\.png \(not found\)"):
        resolve(keys, ["Ann/1.jpg", "Bo/2.jpg"])  # whose 1.png it is nobody said


def test_two_forms_of_one_name_are_ambiguous():
    with pytest.raises(ValueError, match="2 files match"):
        resolve(["x/\u00e9.jpg"], ["a/x/\u00e9.jpg", "b/x/e\u0301.jpg"])


def test_a_suffix_that_is_there_wins_over_another():
    assert resolve(["a/1.png"], ["a/1.jpg", "a/1.png.jpg"]) == ["a/1.png.jpg"]  # as `data prepare` names it


def test_an_exact_name_wins_over_an_ambiguous_end():
    assert resolve(["a.jpg"], ["a.jpg", "b/a.jpg"]) == ["a.jpg"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            ["Ann/1", "Ann/2", "Bo/9"],
            r"2 images of the list cannot be matched, the first: Ann/2 \(not found\)",
        ),
        (["1"], r"1 image .* the first: 1 \(2 files match\)"),
        (["nn/1"], "not found"),  # a part of a folder's name is no match
        (["other/Cy/1"], "not found"),
        (["x/Ann/1", "y/Bo/1"], "not found"),  # two folders in front are not one path
    ],
)
def test_missing_and_ambiguous_images_are_counted_and_the_first_named(keys, words):
    with pytest.raises(ValueError, match=words):
        resolve(keys, ["Ann/1.jpg", "Bo/1.png"])


def test_two_suffixes_of_one_name_are_ambiguous_without_a_suffix():
    names = ["a/1.jpg", "a/1.png"]
    assert resolve(["a/1.png"], names) == ["a/1.png"]
    with pytest.raises(ValueError, match="2 files match"):
        resolve(["a/1"], names)


# Lists without labels


@pytest.mark.parametrize("text", ["a/x.jpg b.png\nc.jpg d.jpg\n", "a/x.jpg,b.png\r\n\r\nc.jpg , d.jpg"])
def test_a_test_list_is_read_in_order(text, tmp_path):
    assert read_unlabeled_pairs(written(tmp_path, text)) == (("a/x.jpg", "c.jpg"), ("b.png", "d.jpg"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a b\nc d 1\n",
            r"line 2: expected `image1 image2`, got 'c d 1'; a list with labels",
        ),
        ("a\n", r"line 1: expected `image1 image2`, got 'a'"),
        ("a,\n", "line 1: expected"),
        (" \n", "is empty; it needs one pair a line"),
    ],
)
def test_another_list_is_no_test_list(text, words, tmp_path):
    with pytest.raises(ValueError, match=words) as error:
        read_unlabeled_pairs(written(tmp_path, text))
    assert one_sentence(str(error.value), tmp_path)


@pytest.mark.parametrize(
    "title", ["different", "is_different", "distance", "mismatch", "Dissimilar", "nonmatch"]
)
def test_a_title_that_may_turn_the_label_round_is_refused(title, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(f"img1,img2,{title}\na/0.jpg,a/1.jpg,0\na/0.jpg,b/1.jpg,1\n")
    with pytest.raises(ValueError, match="it is unclear whether 1 means the same person"):
        read_pairs(path)
    path.write_text(f"img1,img2,{title}\na/0.jpg,a/1.jpg,same\na/0.jpg,b/1.jpg,different\n")
    assert read_pairs(path).same.tolist() == [True, False]
