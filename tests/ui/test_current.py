"""Answers that come late: a held worker, a change meanwhile, and nothing old beside what is new."""

import threading
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import numpy as np
import pytest

from facelab.photos.faces import Photo
from facelab.recognition.embedder import as_face, load
from facelab.recognition.verify import Detection
from facelab.ui.compare import tab as compare
from facelab.ui.identify import tab as identify
from facelab.ui.widgets.current import Shown, answer_newest
from facelab.ui.widgets.examples import example_pairs, example_probes

MODEL, OTHER = "resnet_softmax", "strong"


class Held:
    """A function that stands still in a worker until it is let go."""

    def __init__(self, function):
        self.function, self.reached, self.release = function, threading.Event(), threading.Event()

    def __call__(self, *args, **named):
        self.reached.set()
        assert self.release.wait(120)
        return self.function(*args, **named)


def while_held(held, work, change):
    """What `work` answers if `change` happens in the middle of it."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(work)
        assert held.reached.wait(120)
        try:
            change()
        finally:
            held.release.set()
        return answer.result(120)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three photos as uploads: two of one person, one of another."""
    folder, paths = tmp_path_factory.mktemp("uploads"), []
    pairs = example_pairs()
    for i, image in enumerate((*pairs["One person, twice"], pairs["Two people"][1])):
        image.save(folder / f"{i}.png")
        paths.append(str(folder / f"{i}.png"))
    return paths


@pytest.fixture
def held(monkeypatch):
    held = Held(compare.score_faces)
    monkeypatch.setattr(compare, "score_faces", held)
    return held


def dropped(answer):
    return all(value == gr.skip() for value in answer)


@pytest.mark.parametrize("change", ["another photo", "no photo", "an example"])
def test_a_verdict_on_photos_that_are_no_longer_shown_is_dropped(change, files, held):
    shown, (a, b, other) = Shown(), files
    changes = {
        "another photo": lambda: compare.note_photos(shown, a, other),
        "no photo": lambda: compare.on_new_photo(shown),
        "an example": lambda: compare.on_example("Two people", shown),
    }
    assert dropped(while_held(held, lambda: compare.outcome(a, b, MODEL, 2.0, shown), changes[change]))


def test_a_change_and_back_again_keeps_the_answer(files, held):
    shown, (a, b, _) = Shown(), files

    def there_and_back():
        compare.on_new_photo(shown)
        compare.note_photos(shown, a, b)

    answer = while_held(held, lambda: compare.outcome(a, b, MODEL, 2.0, shown), there_and_back)
    assert answer[0].photos == (a, b) and "Same person" in answer[1]


def test_a_model_and_a_strictness_chosen_meanwhile_are_those_of_the_answer(files, held):
    shown, (a, b, _) = Shown(), files

    def choose():
        compare.note_choice(shown, OTHER, "1", "1")
        compare.on_strictness(None, None, 1.0, shown)

    pair, card, *_ = while_held(held, lambda: compare.outcome(a, b, MODEL, 3.0, shown), choose)
    assert pair.model == OTHER and "1 in 10 " in card
    assert pair.score == pytest.approx(held.function(load(OTHER), pair.a, pair.b), abs=1e-6)


@pytest.mark.parametrize("change", ["photo", "model", "face"])
def test_choices_and_explanations_of_what_is_no_longer_shown_are_dropped(change, files, held):
    shown, (a, b, other) = Shown(), files
    held.release.set()
    pair = compare.outcome(a, b, MODEL, 2.0, shown)[0]
    compare.note_choice(shown, MODEL, "1", "1")
    changes = {
        "photo": lambda: compare.note_photos(shown, other, b),
        "model": lambda: compare.note_choice(shown, OTHER, "1", "1"),
        "face": lambda: compare.note_choice(shown, MODEL, "2", "1"),
    }
    for work in (
        lambda: compare.on_choice(pair, MODEL, "1", "1", 2.0, shown),
        lambda: compare.explain(pair, 2.0, shown),
    ):
        compare.note_photos(shown, a, b)
        compare.note_choice(shown, MODEL, "1", "1")
        held.reached.clear(), held.release.clear()
        assert dropped(while_held(held, work, changes[change]))


def test_the_faces_that_are_chosen_are_scored_and_warned_about(monkeypatch):
    faces = [as_face(crop) for crop in np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)]
    a, b = (Detection(Photo(f[0].crop, 1.0), f) for f in (faces[:2], faces[2:]))
    warned, shown = [], Shown()
    monkeypatch.setattr(compare, "warn", lambda *seen: warned.append(seen) or [])
    monkeypatch.setattr(compare, "model_names", lambda: [MODEL])
    compare.note_choice(shown, MODEL, "2", "1")
    pair = compare.Pair(a, b, 0, 0, OTHER, 0.0, (None, None))
    pair = compare.on_choice(pair, MODEL, "2", "1", 2.0, shown)[0]
    score = pytest.approx(compare.score_faces(load(MODEL), a, b, 1, 0))
    assert (pair.face_a, pair.face_b, pair.score) == (1, 0, score) and warned == [(a, b, 1, 0)]
    assert compare.explain(pair, 2.0, shown)[0] == {MODEL: score}


@pytest.mark.parametrize("change", ["photo", "no photo", "model", "example"])
def test_an_identification_of_what_is_no_longer_shown_is_dropped(change, files, monkeypatch):
    held, shown = Held(identify.probe_of), Shown()
    monkeypatch.setattr(identify, "probe_of", held)
    changes = {
        "photo": lambda: identify.note_photo(shown, files[1]),
        "no photo": lambda: identify.on_new_photo(shown),
        "model": lambda: identify.note_model(shown, OTHER),
        "example": lambda: identify.on_example(next(iter(example_probes())), shown),
    }
    work = lambda: identify.outcome(files[0], None, False, MODEL, 3.0, shown)  # noqa: E731
    assert dropped(while_held(held, work, changes[change]))
    identify.note_photo(shown, files[0])
    identify.note_model(shown, MODEL)
    assert "Closed set" in work()[1]


def test_every_card_answers_the_newest_inputs_only():
    held = Held(lambda value: f"answer to {value}")
    with gr.Blocks() as app:
        field, card = gr.Textbox(), gr.HTML()
        answer_newest([field.change], held, [field], card)
    note, answer = (function.fn for function in list(app.fns.values())[-2:])
    shown = Shown()
    note(shown, "old")
    assert while_held(held, lambda: answer(shown, "old"), lambda: note(shown, "new")) == gr.skip()
    assert answer(shown, "new") == "answer to new"


def test_inputs_that_were_never_changed_fit():
    shown = Shown()
    assert shown.fits(photo="a", model="b")
    shown.note(photo="a")
    assert shown.fits(photo="a", model="b") and not shown.fits(photo="c", model="b")
