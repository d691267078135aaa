"""Galleries: who is nearest, who is unknown, and how often; checked against plain loops and known vectors."""

import io
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from facelab.data.embeddings import load_embeddings, save_embeddings
from facelab.metrics.identification import cmc, dir_at_far, dir_curve
from facelab.metrics.verification import cosine
from facelab.recognition import gallery as g
from facelab.recognition.embedder import load

MODEL = "resnet_softmax"


def unit(*degrees):
    """Vectors in the plane at these angles, so that a cosine is known."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1).astype(np.float32)


def gallery(people, *degrees):
    return g.add(g.Gallery(MODEL), people, unit(*degrees))


@pytest.fixture(scope="module")
def embedder():
    return load(MODEL)


@pytest.fixture(scope="module")
def enrolled(album):
    """Four people with three photos each, and one photo without a face."""
    photos = [(p.parent.name, p.name, partial(str, p)) for p in sorted(album.rglob("*.jpg"))]
    return g.enroll(g.Gallery(MODEL), photos)


def test_closed_set_names_somebody_and_open_set_may_not(embedder):
    three = gallery(["Ann", "Bob", "Bob", "Cy"], 0, 40, 60, 180)
    threshold = embedder.points.threshold_for(0.01)
    near, far = (g.ask(three, embedder, unit(angle)[0], 0.01) for angle in (58, 110))
    assert near.closed_set == near.open_set == "Bob"
    assert near.ranks[0][1] == pytest.approx(np.cos(np.radians(2)), abs=1e-6)  # the best photo, not the mean
    assert [person for person, _ in near.ranks] == ["Bob", "Ann", "Cy"]
    assert near.threshold == threshold
    assert far.closed_set == "Bob" and (np.cos(np.radians(50)) >= threshold) == (far.open_set == "Bob")
    away = g.ask(three, embedder, unit(-80)[0], 0.001)
    assert away.closed_set == "Ann" and away.open_set is None
    assert away.stranger_accepted == pytest.approx(1 - 0.999**4)


def test_a_score_at_the_threshold_is_accepted():
    at = g.Answer(MODEL, (("Ann", 0.5),), 0.5, 0.01, 1)
    assert at.open_set == "Ann" and g.Answer(MODEL, at.ranks, np.nextafter(0.5, 1), 0.01, 1).open_set is None


@pytest.mark.parametrize("name", [MODEL, "reference"])
def test_leave_one_out_equals_a_loop(name):
    embedder = load(name)
    rng = np.random.default_rng(3)
    people = ["a", "a", "a", "b", "b", "c", "d", "d", "e"]
    vectors = rng.normal(size=(9, 6)).astype(np.float32)
    found = g.leave_one_out(g.add(g.Gallery(name), people, vectors), embedder)
    for i, person in enumerate(people):
        best = {}
        for j, other in enumerate(people):
            if j != i:
                value = float(embedder.score(vectors[i : i + 1], vectors[j : j + 1])[0])
                best[other] = max(value, best.get(other, -9.0))
        assert found.top[i] == pytest.approx(max(best.values()), abs=1e-5)
        assert found.mated[i] == (person in best)
        if person in best:
            assert found.mate[i] == pytest.approx(best[person], abs=1e-5)
            assert found.rank[i] == sum(value >= best[person] for value in best.values())
    assert found.mated.tolist() == [True] * 5 + [False, True, True, False]


def test_curve_of_a_gallery_worked_by_hand(embedder):
    """Ann at 0° and 10°, Bob at 50° and 60°; Cy, once, at 90°, is nearest to Bob's 60°."""
    found = g.leave_one_out(gallery(["Ann", "Ann", "Bob", "Bob", "Cy"], 0, 10, 50, 60, 90), embedder)
    assert found.rank.tolist() == [1, 1, 1, 1, 0]
    assert found.top[4] == pytest.approx(np.cos(np.radians(30)), abs=1e-6)
    curve = dir_curve(found)
    np.testing.assert_allclose(
        curve.far, [0, 0, 0, 1][: len(curve.far)] if len(curve.far) == 4 else curve.far
    )
    assert curve.dir[curve.far == 0].max() == 1.0 == dir_at_far(found, 0.5)
    assert cmc(found, 2).tolist() == [1.0, 1.0]


def test_a_gallery_that_allows_no_curve_says_what_to_do(embedder):
    with pytest.raises(ValueError, match="two people or more; enroll another"):
        g.leave_one_out(gallery(["Ann", "Ann"], 0, 10), embedder)
    with pytest.raises(ValueError, match="no unmated probe"):
        dir_curve(g.leave_one_out(gallery(["Ann", "Ann", "Bob", "Bob"], 0, 10, 50, 60), embedder))
    with pytest.raises(ValueError, match="no mated probe"):
        dir_curve(g.leave_one_out(gallery(["Ann", "Bob"], 0, 50), embedder))
    with pytest.raises(ValueError, match="No person is enrolled"):
        g.ask(g.Gallery(MODEL), embedder, unit(0)[0], 0.01)


def test_enrolment_names_the_photo_without_a_face(enrolled):
    assert enrolled.gallery.counts() == {f"p{i}": 3 for i in range(4)}
    assert len(enrolled.failures) == 1 and enrolled.failures[0].startswith("p0_0004.jpg: no face was found")
    assert [person for person, _ in enrolled.crops] == list(enrolled.gallery.people)
    assert {crop.shape for _, crop in enrolled.crops} == {(112, 112, 3)}


def test_enrolled_vectors_are_those_of_the_embedder(enrolled, embedder, album):
    from facelab.recognition.verify import detect

    detection = detect(str(album / "p2" / "p2_0002.jpg"), "x")
    wanted = embedder.embed(detection.photo, detection.faces[:1])
    assert cosine(enrolled.gallery.embeddings[7:8], wanted)[0] == pytest.approx(1, abs=1e-5)


def test_every_photo_finds_its_own_person_when_left_out(enrolled, embedder):
    found = g.leave_one_out(enrolled.gallery, embedder)
    assert found.mated.all() and (found.rank == 1).mean() >= 0.75


def test_one_photo_twice_counts_once():
    once = gallery(["Ann", "Bob"], 0, 40)
    again = g.add(once, ["Ann", " Ann ", "Bob"], unit(0, 0, 0))
    assert again.people == ("Ann", "Bob", "Bob") and len(again.embeddings) == 3
    assert once.people == ("Ann", "Bob")  # left as it was


@pytest.mark.parametrize("name", ["", "   ", "x" * 61])
def test_unusable_names_are_refused(name):
    with pytest.raises(ValueError, match="1 to 60 characters"):
        gallery([name], 0)


def test_too_many_photos_are_refused():
    with pytest.raises(ValueError, match="501 photos are too many"):
        g.add(g.Gallery(MODEL), ["Ann"] * 501, unit(*range(501)) * np.arange(1, 502)[:, None])


def test_zip_of_one_folder_a_person(album, enrolled, tmp_path):
    with zipfile.ZipFile(tmp_path / "people.zip", "w") as archive:
        for path in sorted(album.rglob("*.jpg")):
            archive.write(path, f"class/{path.parent.name}/{path.name}")
    got = g.enroll(g.Gallery(MODEL), g.photos_in_zip(tmp_path / "people.zip")[0])
    assert got.gallery.people == enrolled.gallery.people
    np.testing.assert_array_equal(got.gallery.embeddings, enrolled.gallery.embeddings)
    assert len(got.failures) == 1 and "no face" in got.failures[0]


def test_zip_with_a_loose_photo_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (50, 50)).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "loose.zip", "w") as archive:
        archive.writestr("me.png", buffer.getvalue())
    with pytest.raises(ValueError, match=r"outside any identity folder \(first: me\.png\); put each"):
        g.photos_in_zip(tmp_path / "loose.zip")


def test_export_and_import_keep_names_and_vectors_and_no_image(enrolled, tmp_path):
    path = tmp_path / "gallery.npz"
    path.write_bytes(g.export(enrolled.gallery))
    back = g.load_gallery(path, MODEL)
    assert back.people == enrolled.gallery.people
    np.testing.assert_array_equal(back.embeddings, enrolled.gallery.embeddings)
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"names", "embeddings"}  # nothing that a picture could be in
    assert load_embeddings(path)[0][0] == f"p0/0001@{MODEL}"
    odd = gallery(["Ann / Bo@work", "Zoë"], 0, 40)
    path.write_bytes(g.export(odd))
    assert g.load_gallery(path, MODEL).people == odd.people


def test_embeddings_of_another_model_are_refused_in_one_sentence(tmp_path, embedder):
    path = tmp_path / "gallery.npz"
    path.write_bytes(g.export(gallery(["Ann"], 0)))
    with pytest.raises(
        ValueError, match=f"holds embeddings of {MODEL}, which reference cannot compare; choose"
    ):
        g.load_gallery(path, "reference")
    with pytest.raises(ValueError, match="D = 2, the gallery has D = 3"):
        g.add(g.add(g.Gallery(MODEL), ["Ann"], np.eye(3)), ["Bob"], unit(0))
    with pytest.raises(ValueError, match="D = 3, the gallery has D = 2"):
        g.ask(gallery(["Ann"], 0), embedder, np.ones(3, np.float32), 0.01)


def test_other_npz_files_are_refused(tmp_path):
    save_embeddings(tmp_path / "plain.npz", ["a.jpg", "b.jpg"], unit(0, 40))
    with pytest.raises(ValueError, match=r"is not a gallery; its names must be `person/number@model`"):
        g.load_gallery(tmp_path / "plain.npz", MODEL)
    with pytest.raises(ValueError, match="nothing to export"):
        g.export(g.Gallery(MODEL))


def test_identify_gives_both_answers(enrolled, album):
    photo = str(album / "p1" / "p1_0001.jpg")
    got = g.identify(photo, enrolled.gallery, 0.01)
    assert got["closed_set"] == got["open_set"] == "p1" and got["score"] == pytest.approx(1, abs=1e-5)
    others = g.add(
        g.Gallery(MODEL),
        [person for person in enrolled.gallery.people if person != "p1"],
        enrolled.gallery.embeddings[[person != "p1" for person in enrolled.gallery.people]],
    )
    unmated = g.identify(photo, others, 0.01)
    assert unmated["closed_set"] != "p1" and unmated["ranks"] == got["ranks"][1:]
    assert (unmated["open_set"] is None) == (unmated["score"] < unmated["threshold"])
    with pytest.raises(ValueError, match="The photo: no face"):
        g.identify(str(album / "p0" / "p0_0004.jpg"), others, 0.01)
    with pytest.raises(ValueError, match="false-accept rate"):
        g.identify(photo, others, 0.9)
