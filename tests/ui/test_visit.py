"""A network that a visitor trained is a model of that visit: in reach of its own events, no others."""

import copy
import datetime
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch
from gradio.state_holder import SessionState, StateHolder

from facelab.lessons.live import teach
from facelab.lessons.live.course import course
from facelab.lessons.live.data import TrainingData, rendered
from facelab.lessons.live.held_out import unlearned
from facelab.models.model import embed
from facelab.photos.faces import Photo
from facelab.recognition import gallery as galleries
from facelab.recognition import visit as reach
from facelab.recognition.embedder import as_face, listed, load, model_names
from facelab.recognition.saliency import cosine_maps
from facelab.training.splits import split
from facelab.ui import Page, visit
from facelab.ui.calibration import own_runs as reliability
from facelab.ui.compare import tab as compare
from facelab.ui.identify import enroll
from facelab.ui.serve import IDLE, forget_idle
from facelab.ui.space import own_runs as space
from facelab.ui.widgets.controls import model_and_strictness
from tests.conftest import TINY, awaited

RECIPE = replace(TINY, backbone="resnet_face", held_out=0.2)


@pytest.fixture(scope="module")
def result():
    *_, last = course(RECIPE, rendered(20, 4, 0), 60.0, lambda: False)
    return last.result


@pytest.fixture
def model(result):
    own = replace(result, held_out=copy.deepcopy(result.held_out))  # a test overwrites it
    models, name, _ = visit.on_trained({}, own)
    return models[name]


def test_what_a_run_held_out_is_seen_before_and_after(result):
    held, parts = result.held_out, split(rendered(20, 4, 0).data, RECIPE)
    crops = np.concatenate(list(parts.people.batches()))
    np.testing.assert_allclose(held.after, embed(result.model, crops), rtol=1e-4, atol=1e-5)
    assert held.unseen and held.labels.tolist() == parts.people.labels.tolist()
    assert not np.allclose(held.before, held.after)
    assert [face.shape for face in held.faces] == [(112, 112, 3)] * 3
    assert held.logits.shape == (len(held.classes), 16)


def test_photos_that_judge_confidence_were_not_trained_on():
    pool = rendered(20, 4, 0)
    parts = split(pool.data, RECIPE)
    crops, classes = unlearned(pool, parts)
    trained = {crop.tobytes() for crop in pool.data.crops[parts.training.rows]}
    assert len(crops) == len(classes) >= 30 and not trained & {crop.tobytes() for crop in crops}
    images = replace(RECIPE, held_out_images=0.25)
    held = split(pool.data, images).images
    np.testing.assert_array_equal(unlearned(pool, split(pool.data, images))[1], held.labels)
    photos = TrainingData(pool.data, "mine")
    assert len(unlearned(photos, parts)[0]) == 0, "nothing to judge by is better than training photos"


def test_a_run_without_held_out_people_takes_its_thresholds_from_held_out_photos_and_says_so():
    recipe = replace(RECIPE, held_out=0.0, held_out_images=0.5, epochs=1)
    *_, last = course(recipe, rendered(8, 6, 0), 60.0, lambda: False)
    points, held = last.result.header.operating_points, last.result.held_out
    assert points.source == "held-out photos of the 8 training identities of rendered faces"
    assert points.genuine_pairs == 8 * 3 and not held.unseen
    assert space.WHO[False] in space.card("after", held.after, held)


def test_every_tab_finds_the_model_by_name_within_its_visit_only(model):
    name, shipped = model.name, model_names()
    assert name.startswith("resnet_face, softmax, 1 epoch #") and name not in shipped
    crops = model.held_out.faces[:2]
    with reach.reachable({name: model}):
        assert model_names() == [*shipped, name] and load(name) is model.embedder
        maps = cosine_maps(name, *crops)
        vectors = [load(name).embed(Photo(crop, 1.0), [as_face(crop)]) for crop in crops]
        assert maps[0].sum() == pytest.approx(float(load(name).score(*vectors)[0]), abs=1e-4)
        assert enroll.example_gallery(name).gallery.embeddings.shape[1] == RECIPE.embedding_dim
        assert "EER" in space.show(name)[1] and space.show(name)[2] is not None
        assert "ECE" in reliability.show(name)[0]
    for call in (load, listed, lambda name: cosine_maps(name, *crops), enroll.example_gallery):
        with pytest.raises(ValueError, match="there is no model"):
            call(name)
    assert space.show(name)[0] is None and reliability.show(name)[1] is None


def test_two_trainings_of_one_recipe_have_two_names_and_galleries_that_do_not_mix(result, model, tmp_path):
    with torch.no_grad():
        next(result.model.parameters()).mul_(1.5)
    other = visit.on_trained({}, result)[1]
    with torch.no_grad():
        next(result.model.parameters()).div_(1.5)
    assert other != model.name and other.split("#")[0] == model.name.split("#")[0]
    file = tmp_path / "gallery.npz"
    with reach.reachable({model.name: model}):
        file.write_bytes(galleries.export(enroll.example_gallery(model.name).gallery))
        assert galleries.load_gallery(file, model.name).people
    with pytest.raises(ValueError, match="cannot compare"):
        galleries.load_gallery(file, other)


def test_a_network_of_the_visit_is_a_start_in_transfer_for_its_visit_only(model):
    pool = rendered(3, 3, 1)
    with reach.reachable({model.name: model}):
        assert teach.trained_parameters(model.name, "neck")[0] == 0
        recipe = replace(teach.lesson_recipe(model.name, "neck", pool, 0), epochs=1)
        *_, last = course(recipe, pool, 60.0, lambda: False)
    ours, theirs = last.result.model.state_dict(), model.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs), "all of it was frozen"
    assert last.result.header.recipe.init_from == model.name
    for call in (teach.stages_of, lambda name: teach.lesson_recipe(name, None, pool, 0)):
        with pytest.raises(ValueError, match="there is no model"):
            call(model.name)


def test_a_network_without_class_scores_says_why_it_has_no_reliability_diagram(model):
    held, header = model.held_out, model.header
    bare = replace(held, logits=None, classes=None)
    triplet = replace(header, recipe=replace(header.recipe, loss="triplet"))
    cases = {
        "Fine-tune in Transfer": replace(model, held_out=bare),
        "no probability": replace(model, held_out=bare, header=triplet),
        "are not here": replace(model, held_out=None),
        "ONNX graph": replace(model, network=None, header=None, held_out=None),
    }
    for words, one in cases.items():
        with reach.reachable({model.name: one}):
            card, figure = reliability.show(model.name)
        assert words in card and figure is None


def test_a_visit_keeps_its_last_models(model, monkeypatch):
    models = {}
    for i in range(visit.MOST + 2):
        one = replace(model, embedder=replace(model.embedder, name=str(i)))
        models = visit.added(models, one)
    assert list(models) == [str(i) for i in range(2, visit.MOST + 2)]
    weights = sum(p.numel() * p.element_size() for p in model.network.state_dict().values())
    assert weights < model.size < weights + 2**20
    monkeypatch.setattr(visit, "MOST_BYTES", 2 * model.size)
    assert list(visit.added(models, replace(one, embedder=replace(one.embedder, name="last")))) == [
        str(visit.MOST + 1),
        "last",
    ]
    monkeypatch.setattr(visit, "MOST_BYTES", 1)
    assert list(visit.added(models, model)) == [model.name], "one is always kept"


@pytest.fixture
def page():
    with Page(analytics_enabled=False) as page:
        choice, _ = model_and_strictness()
        names, press = gr.JSON(), gr.Button()
        press.click(model_names, None, names, api_name="look")
        press.click(model_names, None, names, api_name="embed")  # public, and so without a visit
    return page, choice


def seen(page, session, event):
    fn = next(fn for fn in page.fns.values() if fn.api_name == event)
    out = awaited(page.process_api(fn, [], state=session, session_hash="any"))
    return out["data"][0].root


def test_only_the_events_of_the_own_session_reach_a_model(page, model):
    page, choice = page
    mine, other = SessionState(page), SessionState(page)
    mine[page.visit_models._id] = {model.name: model}
    assert model.name in seen(page, mine, "look")
    assert model.name not in seen(page, other, "look") + seen(page, mine, "embed")
    with pytest.raises(gr.Error, match="not on the page"):
        choice.preprocess(model.name)


def test_an_idle_visit_leaves_no_weight_and_no_embedding(page, model):
    page, _ = page
    holder = StateHolder()
    holder.set_blocks(page)
    holder["idle"][page.visit_models._id] = {model.name: model}
    now = datetime.datetime.now()
    holder.time_last_used["idle"] = now - IDLE - datetime.timedelta(seconds=1)
    forget_idle(holder, now)
    assert not holder.session_data and not any(value.any() for value in model.network.state_dict().values())
    assert not model.held_out.after.any() and not model.held_out.faces[0].any()


def test_a_model_without_enough_thresholds_says_what_to_do(model):
    bare = replace(model, embedder=replace(model.embedder, points=None))
    crops = [np.asarray(face) for face in model.held_out.faces[:2]]
    with reach.reachable({model.name: bare}):
        pair = compare.pair_of(*crops, model.name)
        card, figure = compare.show_pair(pair, 1.0)
    assert visit.TRAIN_MORE in card and f"{pair.score:.3f}" in card and figure is None
