"""The Identify tab without a browser: whose gallery answers, and what it says."""

import base64
import re
import zipfile

import numpy as np
import pytest

from facelab.metrics.identification import dir_at_far, dir_curve
from facelab.recognition import gallery as galleries
from facelab.recognition.embedder import model_names
from facelab.ui.identify import enroll
from facelab.ui.identify import rank_list as people
from facelab.ui.identify import tab as identify
from facelab.ui.widgets.controls import STRICTNESS
from facelab.ui.widgets.examples import TWICE, example_people, example_probes

MODEL = "resnet_softmax"


class Quiet:
    """A progress bar that draws nothing."""

    def tqdm(self, items, desc, unit):
        return items


@pytest.fixture(scope="module")
def stranger():
    return identify.probe_of(example_probes()["Unenrolled person"], MODEL)


@pytest.fixture
def photo(tmp_path):
    """The stranger's photo as an upload."""
    path = tmp_path / "me.png"
    example_probes()["Unenrolled person"].save(path)
    return str(path)


def headings(html):
    return re.findall(r"<h2>(.*?)</h2>", html)


def test_opens_on_a_stranger_whom_one_matcher_names_and_the_other_does_not():
    model = model_names()[0]
    stranger = identify.probe_of(example_probes()["Unenrolled person"], model)
    answers, gallery, meaning, figure = identify.show(stranger, None, False, model, STRICTNESS)
    example = enroll.example_gallery(model).gallery
    assert len(example.people) == len(example_people()), "a face was not found"
    scores = example.embeddings @ stranger.vector / np.linalg.norm(example.embeddings, axis=1)
    nearest = example.people[int(scores.argmax())]
    assert headings(answers) == [f"→ {nearest}", "? Unknown"]
    assert f"{len(example.people)} photos" in gallery and figure is not None
    assert f"{2 * TWICE} probes show a person with another photo" in meaning
    loose = identify.show(stranger, None, False, model, 1.0)[0]
    assert headings(loose) == [f"→ {nearest}", f"✔ {nearest}"]


def test_doubts_about_the_photo_stand_beside_the_answers(clearest):
    dark = (clearest * 0.3).astype(np.uint8)
    said = [
        identify.show(identify.probe_of(photo, MODEL), None, False, MODEL, 3.0)[0]
        for photo in (clearest, dark)
    ]
    assert "The face is dark" not in said[0] and "FAR and FRR may not hold" in said[1]
    assert "The face is dark" in said[1]


@pytest.mark.parametrize("model", [MODEL, "reference"])
def test_someone_enrolled_is_found_again(model):
    probe = identify.probe_of(example_probes()["Enrolled person"], model)
    answers = identify.show(probe, None, False, model, STRICTNESS)[0]
    assert headings(answers) == ["→ Dan", "✔ Dan"]


def test_the_curve_marks_the_rates_at_the_threshold():
    gallery, embedder = enroll.example_gallery(MODEL).gallery, identify.load(MODEL)
    found = galleries.leave_one_out(gallery, embedder)
    for strictness in (1.0, 2.5, 4.0):
        meaning, figure = identify.show_curve(gallery, strictness)
        threshold = embedder.points.threshold_for(10**-strictness)
        far = (found.top[~found.mated] >= threshold).mean()
        rate = ((found.rank == 1) & (found.mate >= threshold))[found.mated].mean()
        assert (figure.data[1].x[0], figure.data[1].y[0]) == pytest.approx((100 * far, 100 * rate))
        assert f"<b>{rate:.0%}</b>" in meaning and f"<b>{far:.0%}</b>" in meaning
    assert dir_curve(found).dir.max() == dir_at_far(found, 1.0)


def test_enrolling_changes_the_answer_and_leaves_the_examples_alone(photo, stranger):
    before = enroll.example_gallery(MODEL).gallery.people
    session, own, note, *_ = enroll.on_enroll(None, False, MODEL, " Zoë ", [photo], Quiet())
    assert own and "1 photo added, 1 new" in note
    answers, gallery, *_ = identify.show(stranger, session, True, MODEL, 3.0)
    assert headings(answers) == ["→ Zoë", "✔ Zoë"] and "Zoë" in gallery
    assert enroll.example_gallery(MODEL).gallery.people == before
    assert session[MODEL].gallery.people == ("Zoë",)  # the rendered people are not among a visitor's own


def test_another_model_embeds_the_faces_of_this_visit(photo, stranger, tmp_path):
    example_probes()["Enrolled person"].save(tmp_path / "dan.png")
    session, *_ = enroll.on_enroll(None, False, MODEL, "Zoë", [photo], Quiet())
    there = enroll.current(session, True, "softmax")
    wanted = identify.probe_of(photo, "softmax").vector
    assert there.gallery.people == ("Zoë",) and there.crops.keys() == {"Zoë"}
    np.testing.assert_allclose(there.gallery.embeddings[0], wanted, atol=1e-4)
    assert enroll.current(session, True, "softmax") is there  # once
    session, *_ = enroll.on_enroll(session, True, "softmax", "Dan", [str(tmp_path / "dan.png")], Quiet())
    assert enroll.current(session, True, MODEL).gallery.people == ("Zoë", "Dan")
    assert enroll.current(session, True, "reference").gallery.people == ("Zoë", "Dan")
    assert enroll.current(session, True, "softmax").gallery.people == ("Zoë", "Dan")
    emptied, *_ = enroll.on_empty(session, True, MODEL)
    assert all(enroll.current(emptied, True, name).gallery.people == () for name in (MODEL, "softmax"))


def test_a_gallery_that_is_full_takes_no_more_from_another_model(stranger):
    crop = np.zeros((112, 112, 3), np.uint8)
    vectors = np.random.default_rng(0).normal(size=(galleries.MAX_PHOTOS, len(stranger.vector)))
    full = galleries.add(galleries.Gallery(MODEL), ["a"] * galleries.MAX_PHOTOS, vectors)
    session = {
        MODEL: enroll.Enrolled(full, {}),
        "softmax": enroll.Enrolled(galleries.Gallery("softmax"), {}, (("b", crop),)),
    }
    assert enroll.current(session, True, MODEL).gallery.people == full.people


def test_what_is_taken_away_can_be_brought_back(photo):
    session, *_ = enroll.on_enroll(None, False, MODEL, "Zoë", [photo], Quiet())
    for take in (lambda: enroll.on_empty(session, True, MODEL), lambda: enroll.on_examples(session, True)):
        other, _, said, undone, button = take()
        assert other is not session and "Undo restores" in said and button["visible"]
        back, own, _, nothing, button = enroll.on_undo(undone)
        assert back is session and own and nothing is None and not button["visible"]
    assert enroll.on_undo(enroll.on_empty(None, False, MODEL)[3])[:2] == [None, False]  # the rendered people
    assert "already" in enroll.on_examples(None, False)[2]
    assert "deleted" in enroll.on_undo(None)[2]
    *_, undone, button = enroll.on_enroll(session, True, MODEL, "Kim", [photo], Quiet())
    assert undone is None and not button["visible"]
    enroll.forget_undone((session, True))
    assert not session[MODEL].gallery.embeddings.any() and not session[MODEL].faces[0][1].any()


def test_only_what_a_visitor_enrolled_is_lost_with_the_page(photo, stranger):
    session, own, *_ = enroll.on_enroll(None, False, MODEL, "Zoë", [photo], Quiet())
    assert "data-unsaved" in identify.show(stranger, session, own, MODEL, 3.0)[1]
    assert "data-unsaved" not in identify.show(stranger, None, False, MODEL, 3.0)[1]
    assert "data-unsaved" not in identify.show(stranger, {}, True, MODEL, 3.0)[1]  # nobody is in it


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("zoë", "Z"),
        ("e\u0301ve", "É"),
        ("n\u0308\u0301a", "N\u0308\u0301"),
        ("🇩🇪🇫🇷", "🇩🇪"),
        ("👩🏽\u200d🚀 Eva", "👩🏽\u200d🚀"),
        ("😀😀", "😀"),
        ("李小龍", "李"),
    ],
)
def test_an_initial_is_a_whole_letter(name, first):
    assert people.initial(name) == first


@pytest.mark.parametrize(
    ("name", "files", "word"),
    [
        ("Zoë", [], "No file"),
        ("", ["a.png"], "give the person a name"),
        ("Zoë", ["a.zip", "b.png"], "alone; remove"),
        ("Zoë", ["missing.zip"], "missing.zip does not exist"),
        ("Zoë", ["missing.npz"], "missing.npz does not exist"),
    ],
)
def test_what_cannot_be_enrolled_gets_one_sentence_and_changes_nothing(name, files, word):
    session, own, note, *_ = enroll.on_enroll(None, False, MODEL, name, files, Quiet())
    assert (session, own) == (None, False) and 'role="alert"' in note and word in note


def test_a_zip_names_the_photos_that_were_left_out(photo, tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.write(photo, "Kim/1.png")
        archive.writestr("Kim/2.png", b"words")
    session, _, note, *_ = enroll.on_enroll({}, True, MODEL, "", [str(tmp_path / "class.zip")], Quiet())
    assert session[MODEL].gallery.counts() == {"Kim": 1} and session[MODEL].crops.keys() == {"Kim"}
    assert "1 left out" in note and "Kim/2.png" in note


def test_export_and_import_through_the_page(photo, tmp_path, stranger):
    session, *_ = enroll.on_enroll({}, True, MODEL, "Zoë", [photo], Quiet())
    packed, note = enroll.on_export(session, True, MODEL)
    (tmp_path / "gallery.npz").write_bytes(base64.b64decode(packed))
    back, own, *_ = enroll.on_enroll({}, True, MODEL, "", [str(tmp_path / "gallery.npz")], Quiet())
    answers = identify.show(stranger, back, own, MODEL, 3.0)[0]
    assert headings(answers) == ["→ Zoë", "✔ Zoë"] and "no images" in note
    refused = enroll.on_enroll({}, True, "reference", "", [str(tmp_path / "gallery.npz")], Quiet())
    assert refused[0] == {} and f"embeddings of {MODEL}, which reference cannot compare" in refused[2]


def test_an_empty_gallery_teaches(stranger):
    session, own, *_ = enroll.on_empty(None, False, MODEL)
    answers, gallery, meaning, figure = identify.show(stranger, session, own, MODEL, 3.0)
    assert "No person is enrolled yet" in answers and "a name and one photo are enough" in gallery
    assert "two people or more" in meaning and figure is None
    assert enroll.on_export(session, own, MODEL)[0] == ""


def test_a_forgotten_gallery_is_not_replaced_by_the_examples(stranger):
    answers, gallery, *_ = identify.show(stranger, None, True, MODEL, 3.0)
    assert "deleted after 15 minutes" in answers and "The gallery is empty" in gallery


def test_names_are_escaped(stranger):
    gallery = galleries.add(galleries.Gallery(MODEL), ["<script>x"], stranger.vector[None])
    session = {MODEL: enroll.Enrolled(gallery, {})}
    answers, card, *_ = identify.show(stranger, session, True, MODEL, 3.0)
    assert "<script>" not in answers + card and "&lt;script&gt;x" in card
    assert "<img" not in people.gallery_card(gallery, {})


def test_forgetting_overwrites_the_vectors(photo):
    session, *_ = enroll.on_enroll(None, False, MODEL, "Zoë", [photo], Quiet())
    enroll.forget(session)
    assert not session[MODEL].gallery.embeddings.any()
    assert enroll.example_gallery(MODEL).gallery.embeddings.any()
    enroll.forget(None)
