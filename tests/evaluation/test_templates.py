"""Template protocols: pooling and pairs by hand, lists of other forms, and many pairs in little memory."""

import inspect
import json

import numpy as np
import pytest
from PIL import Image

from facelab.cli.main import main
from facelab.data.templates import read_template_pairs, read_templates
from facelab.evaluation import templates
from facelab.evaluation.photo_pool import embed_images
from facelab.evaluation.template_scores import evaluate_stored, judge_templates, pool
from facelab.evaluation.templates import evaluate_templates
from facelab.metrics.streaming import stream_scores
from facelab.metrics.verification import roc
from facelab.models import checkpoint
from facelab.models.model import embed
from tests.conftest import one_sentence


def test_frames_of_a_video_count_as_one_photo():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 8)).astype(np.float32)
    ids, pooled = pool(vectors, np.array([7, 7, 7, 7, 3, 9]), np.array([1, 2, 2, 2, 1, 1]))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = unit[0] + unit[1:4].mean(0)
    assert ids.tolist() == [3, 7, 9]
    np.testing.assert_allclose(pooled[1], expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_allclose(pooled[0], unit[4], rtol=1e-5)
    vectors[5] = np.nan
    assert np.isnan(pool(vectors, np.array([7, 7, 7, 7, 3, 9]), np.ones(6, int))[1][2]).all()


@pytest.fixture
def protocol(tmp_path):
    """Eight images of four templates, with landmarks, in the field's three lists."""
    root, rng = tmp_path / "proto" / "meta", np.random.default_rng(1)
    root.mkdir(parents=True)
    (tmp_path / "img").mkdir()
    media, points = [], []
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (112, 112, 3), np.uint8)).save(tmp_path / "img" / f"{i}.png")
        media.append(f"{i}.jpg {10 + i // 2} {i % 2}")
        points.append(f"{i}.jpg 38.3 51.7 73.5 51.5 56 71.7 41.5 92.4 70.7 92.2 0.99")
    (root / "x_face_tid_mid.txt").write_text("\n".join(media) + "\n")
    (root / "x_name_5pts_score.txt").write_text("\n".join(points) + "\n")
    (root / "x_template_pair_label.txt").write_text("10 11 1\n10 12 0\n11 13 0\n12 13 1\n10 13 0\n")
    return tmp_path


def test_one_view_is_embedded_where_that_is_asked(protocol, tiny_checkpoint, monkeypatch):
    asked = []

    def embedded(*given):
        asked.append(inspect.signature(embed_images).bind(*given).arguments["flip"])
        return embed_images(*given)

    monkeypatch.setattr(templates, "embed_images", embedded)
    for flip in (True, False):
        argv = (str(tiny_checkpoint), str(protocol / "img"), str(protocol / "proto"))
        evaluate_templates(*argv, aligned=True, flip=flip)
    assert asked == [True, False]


def test_a_protocol_is_judged_as_by_hand(protocol, tiny_checkpoint):
    argv = (str(tiny_checkpoint), str(protocol / "img"), str(protocol / "proto"))
    report = evaluate_templates(*argv, aligned=True)
    crops = np.stack([np.asarray(Image.open(protocol / "img" / f"{i}.png")) for i in range(8)])
    vectors = embed(checkpoint.load(tiny_checkpoint)[0], crops)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pooled = unit.reshape(4, 2, -1).sum(1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    score = {(a, b): pooled[a] @ pooled[b] for a in range(4) for b in range(4)}
    genuine = np.array([score[0, 1], score[2, 3]])
    impostor = np.array([score[0, 2], score[1, 3], score[0, 3]])
    assert report["auc"] == pytest.approx(roc(genuine, impostor).auc())
    counts = [report[key] for key in ("genuine_pairs", "impostor_pairs", "templates", "images", "skipped")]
    assert counts == [2, 3, 4, 8, 0]
    cut = evaluate_templates(*argv)  # by landmarks at the template's places: the same crops, but for rounding
    assert cut["auc"] == pytest.approx(report["auc"]) and not cut["failures"]


def test_the_command_prints_it(protocol, tiny_checkpoint, capsys):
    argv = ["evaluate", str(tiny_checkpoint), "--images", str(protocol / "img"), "--templates"]
    argv += [str(protocol / "proto"), "--aligned"]
    assert main(argv) == 0
    assert "8 images in 4 templates" in capsys.readouterr().out
    assert main([*argv, "--json"]) == 0 and json.loads(capsys.readouterr().out)["templates"] == 4


def test_stored_embeddings_give_the_figures_of_the_images(protocol, tiny_checkpoint, capsys):
    lists, file = str(protocol / "proto"), protocol / "e.npz"
    expected = evaluate_templates(str(tiny_checkpoint), str(protocol / "img"), lists, aligned=True)
    crops = np.stack([np.asarray(Image.open(protocol / "img" / f"{i}.png")) for i in range(8)])
    vectors, names = embed(checkpoint.load(tiny_checkpoint)[0], crops), [f"{i}.jpg" for i in range(8)]
    turned = [5, 1, 7, 0, 2, 4, 6, 3]
    for arrays in (
        {"embeddings": vectors},
        {"embeddings": vectors[turned], "names": np.array(names)[turned]},
        {"embeddings": vectors[turned], "names": np.array([f"img/{name}" for name in names])[turned]},
    ):
        np.savez(file, **arrays)
        assert main(["evaluate", "--embeddings", str(file), "--templates", lists, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["auc"] == pytest.approx(expected["auc"]) and found["genuine_pairs"] == 2
    np.savez(file, embeddings=vectors[:7], names=np.array(names[:7]))
    assert main(["evaluate", "--embeddings", str(file), "--templates", lists]) == 0
    out = capsys.readouterr()
    assert "8 images in 4 templates, 1 without an embedding" in out.out and "7.jpg: not in e.npz" in out.err
    np.savez(file, embeddings=vectors[:7])
    with pytest.raises(ValueError, match="7 embeddings without names for the 8 images"):
        evaluate_stored(file, lists)
    np.savez(file, embeddings=vectors, names=np.array([f"x{i}.jpg" for i in range(8)]))
    with pytest.raises(ValueError, match="8 images of the list cannot be matched"):
        evaluate_stored(file, lists)


def test_a_template_without_any_embedding_skips_its_pairs(protocol):
    lists = read_templates(protocol / "proto")
    vectors = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    vectors[6:] = np.nan
    report = judge_templates(vectors, lists)
    assert (report["skipped"], report["genuine_pairs"], report["impostor_pairs"]) == (3, 1, 1)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("face_tid_mid", "0.jpg 10\n", "line 1: expected 3 fields"),
        ("face_tid_mid", "0.jpg ten 1\n", "line 1: template and medium must be whole numbers"),
        ("face_tid_mid", "../0.jpg 1 1\n", "line 1: expected 3 fields"),
        ("name_5pts_score", "9.jpg " + "1 " * 11, "line 1: 9.jpg is another image"),
        ("name_5pts_score", "0.jpg " + "x " * 11, "the landmarks must be numbers"),
        ("name_5pts_score", "0.jpg " + "nan " * 11, "lines for 8 images"),
        ("template_pair_label", "10 11\n", "expected `template template 0|1`"),
        ("template_pair_label", "10 11 2\n", "expected `template template 0|1`"),
        ("template_pair_label", "10 eleven 1\n", "expected `template template 0|1`"),
        ("template_pair_label", "10 99 1\n", "names the template 99, which holds no image"),
        ("template_pair_label", "", "there is no genuine pair"),
    ],
)
def test_lists_of_other_forms_get_one_sentence(file, text, words, protocol):
    (protocol / "proto" / "meta" / f"x_{file}.txt").write_text(text)
    with pytest.raises(ValueError) as stop:
        judge_templates(np.ones((8, 4), np.float32), read_templates(protocol / "proto"))
    assert words in str(stop.value) and one_sentence(str(stop.value), protocol)


def test_a_missing_list_is_named(protocol):
    (protocol / "proto" / "meta" / "x_template_pair_label.txt").unlink()
    with pytest.raises(ValueError, match=r"holds 0 lists \*template_pair_label\.txt; there must be one"):
        read_templates(protocol / "proto")


def test_pieces_of_a_list_are_the_list(tmp_path):
    rows = np.random.default_rng(0).integers(0, 2, (1000, 3))
    np.savetxt(tmp_path / "p.txt", rows, "%d")
    parts = list(read_template_pairs(tmp_path / "p.txt", 300))
    assert [len(part) for part in parts] == [300, 300, 300, 100]
    assert np.array_equal(np.concatenate(parts), rows)


def test_streamed_scores_give_the_sorted_ones_figures():
    rng = np.random.default_rng(0)
    scores, same = rng.uniform(-1, 1, 5000), rng.random(5000) < 0.3
    scores[same] = np.clip(scores[same] + 0.5, -1, 1)
    exact = roc(scores[same], scores[~same])
    streamed = stream_scores((scores[i : i + 700].copy(), same[i : i + 700]) for i in range(0, 5000, 700))
    assert streamed.curve.auc() == pytest.approx(exact.auc(), abs=streamed.error)
    assert streamed.curve.tar_at_far(0.01) == pytest.approx(exact.tar_at_far(0.01), abs=streamed.error)
