"""Errors by group at one threshold: counts by hand, and what is refused."""

import json

import numpy as np
import pytest

from facelab.cli.main import main
from facelab.data.embeddings import save_embeddings
from facelab.evaluation.groups import NOTES, read_groups
from tests.conftest import one_sentence, refused

COSINES = {"calm": (0.9, 0.1), "noisy": (0.4, 0.35)}  # of genuine and of impostor pairs


@pytest.fixture
def files(tmp_path):
    """Pairs of known cosines in two groups, 60 genuine and 60 impostor ones each."""
    names, vectors, lines, table = [], [], [], ["name,kind,year"]
    for kind, cosines in COSINES.items():
        for same, cosine in zip((1, 0), cosines):
            for i in range(60):
                value = cosine + 0.0001 * i if same else cosine - 0.0001 * i
                pair = [f"{kind}{same}{i}a.jpg", f"{kind}{same}{i}b.jpg"]
                names += pair
                vectors += [(1.0, 0.0), (value, np.sqrt(1 - value**2))]
                lines.append(f"{pair[0]} {pair[1]} {same}")
                table += [f"{name},{kind},{1990 + i % 2}" for name in pair]
    save_embeddings(tmp_path / "e.npz", names, np.array(vectors, np.float32))
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    (tmp_path / "groups.csv").write_text("\n".join(table))
    return tmp_path


def flags(root, *more):
    return [
        str(x) for x in ("evaluate", "--embeddings", root / "e.npz", "--pairs", root / "pairs.txt", *more)
    ]


def test_each_group_has_its_own_errors_at_the_one_threshold(files, capsys):
    assert main(flags(files, "--groups", files / "groups.csv", "--json")) == 0
    found = json.loads(capsys.readouterr().out)["groups"]
    assert found["far"] == 0.01 and 0.34 < found["threshold"] <= 0.35 and found["notes"] == list(NOTES)
    kinds = found["attributes"]["kind"]
    assert kinds["all"]["far"] == pytest.approx(1 / 120) and kinds["all"]["genuine"] == 120
    assert (kinds["calm"]["far"], kinds["noisy"]["far"]) == pytest.approx((0, 1 / 60))
    assert kinds["calm"]["far_interval"] == pytest.approx([0, 1 - 0.025 ** (1 / 60)])
    assert (kinds["calm"]["genuine"], kinds["noisy"]["impostor"]) == (60, 60)
    years = found["attributes"]["year"]
    assert sum(years[year]["impostor"] for year in ("1990", "1991")) == 120 and found["mixed"]["year"] == 0


def test_numbers_that_are_photos_and_identities_are_taken_for_identities_if_all_are(tmp_path):
    """As in an .npz without names, whose rows are called 0, 1, ...."""
    people = {str(i): str(i // 4) for i in range(20)}
    for keys in (range(5), range(3)):
        (tmp_path / "g.csv").write_text("id,kind\n" + "\n".join(f"{key},{'ab'[key % 2]}" for key in keys))
        expected = {name: "ab"[int(who) % 2] for name, who in people.items() if int(who) in keys}
        assert read_groups(tmp_path / "g.csv", [*people], people) == {"kind": expected}
    rows = "\n".join(f"{i},{'ab'[i % 2]}" for i in range(20))
    (tmp_path / "g.csv").write_text(f"photo,kind\n{rows}")
    assert read_groups(tmp_path / "g.csv", [*people], people)["kind"]["7"] == "b"


def test_the_table_says_what_it_cannot_show(files, capsys):
    assert main(flags(files, "--groups", files / "groups.csv")) == 0
    out = capsys.readouterr().out
    assert "kind: noisy" in out and "1.67% (" in out and "fewer than 100 pairs of a kind" in out
    assert "cannot show a cause" in out and "in none of them" in out


def test_attributes_may_be_of_identities(tmp_path):
    names = ["Ann/1.jpg", "Ann/2.jpg", "Bob/1.jpg"]
    (tmp_path / "g.csv").write_text("identity;age\nAnn;20\nBob;\n", encoding="utf-16")
    assert read_groups(tmp_path / "g.csv", names) == {"age": {"Ann/1.jpg": "20", "Ann/2.jpg": "20"}}
    (tmp_path / "g.csv").write_text("name,age\nAnn/2.jpg,21\nAnn,20\n")
    assert read_groups(tmp_path / "g.csv", names) == {"age": {"Ann/1.jpg": "20", "Ann/2.jpg": "21"}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,kind\nx.jpg,1\n", "names no photo or identity of the list"),
        ("name\ncalm10a.jpg\n", "needs a title line"),
        ("name,kind\ncalm10a.jpg,1,2\n", "line 2: expected 2 fields, got 3"),
        ("name,kind\ncalm10a.jpg,1\ncalm10a.jpg,2\n", "described twice"),
    ],
)
def test_a_table_that_does_not_fit_gets_one_sentence(text, words, files, capsys):
    (files / "g.csv").write_text(text)
    said = refused(capsys, *flags(files, "--groups", files / "g.csv"))
    assert words in said and one_sentence(said, files)


def test_groups_divide_pairs(files, capsys):
    argv = ("evaluate", "--embeddings", files / "e.npz", "--all-pairs", "--groups", files / "groups.csv")
    assert "--groups divides a list of pairs" in refused(capsys, *argv)
