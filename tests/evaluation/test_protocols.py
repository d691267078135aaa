"""The protocols on known vectors: whole sets against plain loops, files of vectors, the command's flags."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from facelab.cli.main import main
from facelab.data.embeddings import save_embeddings
from facelab.data.pairs import Pairs
from facelab.evaluation import evaluate as evaluation
from facelab.evaluation.evaluate import evaluate, evaluate_embeddings, read_embedded
from facelab.evaluation.protocols import Embedded, judge_all_pairs, judge_identification, judge_pairs
from facelab.metrics.confidence import intervals_by_pair
from facelab.metrics.geometry import inter_class_angle, intra_class_angle
from facelab.metrics.identification import dir_at_far, search
from facelab.metrics.verification import all_pairs, auc, cosine, equal_error_rate, tar_at_far
from facelab.recognition import reference
from tests.conftest import refused


def crowd(people: int = 12, photos: int = 5, score=cosine, failures=()) -> Embedded:
    """Vectors (D = 8) about a center a person, in shuffled order."""
    rng = np.random.default_rng(0)
    names = [f"p{i:02d}/{j}.jpg" for i in range(people) for j in range(photos)]
    centers = {f"p{i:02d}": rng.normal(size=8) for i in range(people)}
    vectors = {
        n: (centers[n[:3]] + 0.8 * rng.normal(size=8)).astype(np.float32) for n in rng.permutation(names)
    }
    return Embedded(
        {str(n): v for n, v in vectors.items()}, dict.fromkeys(failures, "no face was found"), score
    )


def arrays(embedded: Embedded):
    return np.stack(list(embedded.vectors.values())), np.array([name[:3] for name in embedded.vectors])


@pytest.mark.parametrize("score", [cosine, reference.score])
def test_all_pairs_are_judged_by_the_models_own_score(score):
    embedded = crowd(score=score, failures=["p00/9.jpg"])
    report = judge_all_pairs(embedded)
    genuine, impostor = all_pairs(*arrays(embedded), score)
    assert (report["genuine_pairs"], report["impostor_pairs"]) == (len(genuine), len(impostor)) == (120, 1650)
    assert report["eer"] == pytest.approx(equal_error_rate(genuine, impostor)[0], abs=report["error"])
    assert report["auc"] == pytest.approx(auc(genuine, impostor), abs=report["error"])
    assert list(report["tar_at_far"]) == ["0.1", "0.01", "0.001"]  # 1e-4 of 1,650 pairs is none
    for far, tar in report["tar_at_far"].items():
        assert tar == pytest.approx(tar_at_far(genuine, impostor, float(far)), abs=report["error"])
    assert report["intra_class_angle"] == intra_class_angle(*arrays(embedded))
    assert report["inter_class_angle"] == inter_class_angle(*arrays(embedded))
    assert (report["images"], report["identities"], report["skipped"]) == (60, 12, 1)
    assert report["failures"] == {"p00/9.jpg": "no face was found"} and "interval" not in report


def test_intervals_of_all_pairs_hold_the_figures_and_are_for_few_images():
    report = judge_all_pairs(crowd(), intervals=True)
    assert set(report["interval"]) == {"eer", "auc", "tar_at_far"}
    for name in ("eer", "auc"):
        low, high = report["interval"][name]
        assert 0 <= low < report[name] < high <= 1
    one = np.ones(2, np.float32)
    with pytest.raises(ValueError, match="for 2,000 images at most, not for 2,001; leave --intervals out"):
        judge_all_pairs(Embedded({f"p/{i}": one for i in range(2001)}, {}, cosine), intervals=True)


def test_identification_enrols_the_first_image_and_then_hides_half_of_the_people():
    embedded = crowd()
    report = judge_identification(embedded)
    e, y = arrays(embedded)
    names = np.array(list(embedded.vectors))
    first = np.char.endswith(names, "/0.jpg")
    own = {p: v / np.linalg.norm(v) for p, v in zip(y[first], e[first])}
    ranks = []
    for vector, person in zip(e[~first], y[~first]):
        scores = {p: vector @ t for p, t in own.items()}
        ranks.append(sorted(scores, key=scores.get, reverse=True).index(person) + 1)
    assert report["rank_1"] == pytest.approx(np.mean([r <= 1 for r in ranks]))
    assert report["rank_5"] == pytest.approx(np.mean([r <= 5 for r in ranks]))
    assert 0 < report["rank_1"] < report["rank_5"] and (report["gallery"], report["probes"]) == (12, 48)
    opened = report["open_set"]
    assert (opened["gallery"], opened["mated_probes"], opened["unmated_probes"]) == (6, 24, 30)
    legal = set()
    for known in itertools.combinations(own, 6):  # which half it is, the seed decides
        enrolled = first & np.isin(y, known)
        found = search(e[enrolled], y[enrolled], e[~enrolled], y[~enrolled])
        legal.add(round(dir_at_far(found, 0.1), 9))
    assert round(opened["dir_at_far"]["0.1"], 9) in legal and list(opened["dir_at_far"]) == ["0.1"]
    assert judge_identification(embedded) == report
    others = [judge_identification(embedded, seed=s)["open_set"]["dir_at_far"]["0.1"] for s in range(1, 6)]
    assert len({*others, opened["dir_at_far"]["0.1"]}) > 1
    low, high = judge_identification(embedded, intervals=True)["interval"]["rank_1"]
    assert low < report["rank_1"] < high


def test_what_a_set_cannot_show_is_answered_in_one_sentence():
    with pytest.raises(ValueError, match="no identity has a second image"):
        judge_identification(crowd(photos=1))
    with pytest.raises(ValueError, match="no genuine pair; give two people or more"):
        judge_all_pairs(crowd(photos=1))
    with pytest.raises(ValueError, match="no impostor pair"):
        judge_all_pairs(crowd(people=1))
    with pytest.raises(ValueError, match="all images show one person"):
        judge_identification(crowd(people=1))
    for judge in (judge_all_pairs, judge_identification):
        with pytest.raises(ValueError, match=r"no photo could be embedded; a/1\.jpg: no face"):
            judge(Embedded({}, {"a/1.jpg": "no face"}, cosine))


@pytest.fixture
def file(tmp_path) -> str:
    """The crowd's vectors as another program would leave them."""
    embedded = crowd()
    np.savez(tmp_path / "e.npz", names=np.array(list(embedded.vectors)), embeddings=arrays(embedded)[0])
    return str(tmp_path / "e.npz")


@pytest.fixture
def pairs(tmp_path) -> str:
    rows = [(a, b, int(a[:3] == b[:3])) for a, b in itertools.combinations(sorted(crowd().vectors), 2)]
    (tmp_path / "pairs.csv").write_text("".join(f"{a},{b},{label}\n" for a, b, label in rows))
    return str(tmp_path / "pairs.csv")


def test_a_file_of_vectors_is_judged_without_a_model(file, pairs):
    report = evaluate_embeddings(file, pairs, intervals=True)
    genuine, impostor = all_pairs(*arrays(crowd()))
    assert report["eer"] == pytest.approx(equal_error_rate(genuine, impostor)[0])
    assert report["auc"] == pytest.approx(auc(genuine, impostor))
    exact = intervals_by_pair(genuine.astype(np.float64), impostor.astype(np.float64))
    assert report["interval"]["auc"] == pytest.approx(exact["auc"], abs=0.01)
    assert (report["pairs"], report["skipped"], report["failures"]) == (1770, 0, {})
    assert judge_all_pairs(read_embedded(file))["auc"] == pytest.approx(report["auc"], abs=1e-3)


def test_flips_are_left_out_where_that_is_asked_for(monkeypatch, tmp_path, pairs):
    """The network is asked for either; what it does with a mirrored crop is the embedder's test."""
    seen = []

    def embed_images(model, folder, names, aligned, cache, jobs, track, flip, device):
        seen.append(flip)
        return crowd().vectors, {}

    for name in crowd().vectors:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x")
    monkeypatch.setattr(evaluation, "embed_images", embed_images)
    monkeypatch.setattr(evaluation, "load", lambda name: crowd())
    for flip in (True, False):
        evaluate("any", str(tmp_path / "photos"), pairs, flip=flip)
    argv = ["evaluate", "any", "--images", str(tmp_path / "photos"), "--all-pairs", "--json"]
    assert main(argv) == main([*argv, "--no-flip"]) == 0
    assert seen == [True, False, True, False]


# The command


def run(capsys, *argv) -> dict:
    assert main(["evaluate", *map(str, argv), "--json"]) == 0
    out, err = capsys.readouterr()
    if argv[0] == "--embeddings":
        assert not err
    else:  # a model computes somewhere
        assert err.startswith("device: ") and err.count("\n") == 1
    return json.loads(out)


def test_the_command_prints_one_object_a_protocol(capsys, file, pairs):
    everything = read_embedded(file)
    plain = {"accuracy", "accuracy_std", "accuracy_all", "eer", "auc", "tar_at_far", "pairs", "skipped"}
    plain |= {"self_pairs", "repeated_pairs", "contradicting_pairs"}
    assert set(run(capsys, "--embeddings", file, "--pairs", pairs)) == plain
    for flag, judge in (("--all-pairs", judge_all_pairs), ("--identify", judge_identification)):
        for extra in ([], ["--intervals"]):
            expected = judge(everything, bool(extra))
            expected.pop("failures")
            assert run(capsys, "--embeddings", file, flag, *extra) == json.loads(json.dumps(expected))


def test_the_command_says_in_words_what_it_says_in_json(capsys, file, pairs):
    for flags, words in (
        (["--pairs", pairs], ("1770 pairs, 0 skipped", "accuracy_all  {accuracy_all:.4f}")),
        (
            ["--all-pairs"],
            ("60 images of 12 people", "120 genuine and 1,650 impostor", "{inter_class_angle:.1f}°"),
        ),
        (["--identify"], ("48 probes against 12 people", "rank 1        {rank_1:.4f}  95%: ", "30 unmated")),
    ):
        argv = ["--embeddings", file, *flags, "--intervals"]
        report = run(capsys, *argv)
        assert main(["evaluate", *argv]) == 0
        out = capsys.readouterr().out
        for word in words:
            assert word.format(**report) in out
        if "eer" in report:
            low, high = report["interval"]["eer"]
            assert f"EER           {report['eer']:.4f}  95%: {low:.4f} to {high:.4f}\n" in out


@pytest.mark.usefixtures("own_cache_and_models")
def test_crops_are_judged_from_end_to_end_and_saved(capsys, crop_folder):
    for i, path in enumerate(sorted(crop_folder.rglob("*.png"))):
        noise = np.random.default_rng(i // 3).integers(0, 256, (112, 112, 3), dtype=np.uint8)
        noise[:, i % 3] = 0
        Image.fromarray(noise).save(path)
    argv = ["tiny", "--images", crop_folder, "--aligned", "--jobs", 1]
    assert run(capsys, *argv, "--all-pairs", "--save", "crops")["eer"] == 0  # noise of one seed is nearest
    report = run(capsys, *argv, "--identify")
    assert report["rank_1"] == 1 and report["open_set"]["dir_at_far"] == {}  # three unmated probes
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["metrics"]["crops"]["genuine_pairs"] == 9


def test_flags_that_do_not_go_together_are_answered_in_one_sentence(capsys, file, pairs, tmp_path):
    np.savez(tmp_path / "objects.npz", names=np.array(["a", "b"]), embeddings=np.array([{}, {}], object))
    save_embeddings(tmp_path / "two.npz", ["a", "b"], np.eye(2))
    np.savez(tmp_path / "bare.npz", embeddings=np.eye(4))
    for argv, words in (
        ([], "nothing to evaluate; give MODEL with --images FOLDER_OR_ZIP, or --embeddings FILE.npz"),
        (["tiny", "--pairs", pairs], "nothing to evaluate"),
        (["tiny", "--embeddings", file, "--all-pairs"], "without a model; omit MODEL and --images"),
        (["--embeddings", file, "--all-pairs", "--save", "x"], "--embeddings has none; leave it out"),
        (
            ["--embeddings", file],
            "give one of --pairs, --all-pairs, --identify, --classify, --bin, --templates, not none",
        ),
        (["--embeddings", file, "--all-pairs", "--identify"], "not --all-pairs and --identify"),
        (["--embeddings", tmp_path / "no.npz", "--all-pairs"], "no.npz does not exist"),
        (["--embeddings", tmp_path / "objects.npz", "--all-pairs"], "objects.npz holds Python objects"),
        (["--embeddings", tmp_path / "two.npz", "--pairs", pairs], "of the list cannot be matched"),
        (["--embeddings", tmp_path / "bare.npz", "--all-pairs"], "or add labels to the file of embeddings"),
        (["--embeddings", tmp_path / "two.npz", "--identify"], "images outside any identity folder"),
    ):
        sentence = refused(capsys, "evaluate", *argv)
        assert words in sentence, sentence


def test_a_list_of_which_nothing_is_embedded_is_refused():
    pairs = Pairs(("a",), ("b",), np.array([True]), np.zeros(1, int))
    with pytest.raises(ValueError, match="no pair could be scored; a: no face"):
        judge_pairs(Embedded({}, {"a": "no face"}, cosine), pairs, ["a", "b"])
