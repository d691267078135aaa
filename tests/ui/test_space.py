"""The Embedding space tab without a browser: what each control shows, and what it says of a photo."""

import json
import re

import numpy as np
import pytest

from facelab.lessons import epochs as runs
from facelab.lessons import projection
from facelab.lessons import space as lesson
from facelab.metrics.similarity import normalized
from facelab.models import zoo
from facelab.photos.faces import Photo
from facelab.plots.space import epochs_figure, person_style, reach, space_map, umap_variant_maps
from facelab.recognition import embedder
from facelab.ui.space import epochs as space_epochs
from facelab.ui.space import tab as space
from facelab.ui.space import umap_variants
from facelab.ui.widgets.linked_maps import PATHS, People
from tests.lessons.test_epochs import full_size as full_run
from tests.lessons.test_space import full_size

OPENING = ("tiny", "other", "umap", 2, "unseen")


@pytest.fixture
def shipped(tmp_path, monkeypatch, own_cache_and_models):
    """Two models' maps and two runs, of noise; the first model can be loaded, under both names."""
    monkeypatch.setattr(lesson, "FOLDER", tmp_path / "space")
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "epochs")
    models = zoo.CHECKPOINTS
    (models / "other.safetensors").write_bytes((models / "tiny.safetensors").read_bytes())
    for seed, name in enumerate(("tiny", "other")):
        lesson.save(tmp_path / "space" / f"{name}.npz", full_size(16, seed=seed))
    for name in ("softmax", "center"):
        runs.save(tmp_path / "epochs" / f"{name}.npz", full_run())
    return tmp_path


def role(figure, name):
    return [trace for trace in figure.data if trace.meta == name]


def test_both_maps_show_the_same_people_and_what_was_measured(shipped):
    left, words, right, _ = space.show(None, OPENING)
    for figure, name in ((left, "tiny"), (right, "other")):
        people = role(figure, "person")
        assert [trace.name for trace in people] == [f"identity {i}" for i in range(1, 17)]
        at = lesson.coordinates(name, "unseen", "umap", 2)
        np.testing.assert_allclose(people[3].x, at[36:48, 0])
        assert len({(t.marker.color, t.marker.symbol) for t in people}) == 16
        assert figure.layout.title.text == name and not len(role(figure, "photo")[0].x)
    for figure in ("50.0°", "60.5°", "15.0%", "0.900", "1,551 photos of 56 identities", "16-D space"):
        assert figure in words
    assert "UMAP preserves neighborhoods" in words


@pytest.mark.parametrize(("method", "dims"), [("umap", 3), ("pca", 2), ("pca", 3)])
@pytest.mark.parametrize("who", lesson.KINDS)
def test_every_choice_draws_its_own_coordinates(shipped, method, dims, who):
    figure, words, *_ = space.show(None, ("tiny", "other", method, dims, who))
    trace = role(figure, "person")[2]
    assert trace.type == ("scatter3d" if dims == 3 else "scatter")
    at = lesson.coordinates("tiny", who, method, dims)[24:36]
    np.testing.assert_allclose(np.stack([trace[axis] for axis in "xyz"[:dims]], 1), at)
    if method == "pca":
        share = lesson.pca("tiny", who, dims).share
        assert f"{dims} axes explain {share:.0%}" in words and f"other {16 - dims} overlap" in words
    assert figure.layout.uirevision != space.show(None, OPENING)[0].layout.uirevision


def test_a_photo_goes_onto_both_maps_with_its_nearest_people(shipped, photos):
    dropped, card, left, _, right, _ = space.on_photo(photos[0], *OPENING)
    assert set(dropped.vectors) == {"tiny", "other"}
    for figure, name in ((left, "tiny"), (right, "other")):
        star = role(figure, "photo")[0]
        expected = lesson.place(name, "unseen", "umap", 2, dropped.vectors[name])
        np.testing.assert_allclose([star.x[0], star.y[0]], expected)
        (person, score), *_ = lesson.nearest_people(name, "unseen", dropped.vectors[name])
        assert f"<b>{name}</b>: nearest by cosine similarity: identity {person + 1} ({score:.2f})" in card
    threshold = embedder.load("tiny").points.threshold_for(1e-3)
    assert f"threshold {threshold:.2f}" in card and "approximate" in card
    kept = space.on_settings(dropped, "other", "other", "pca", 3, "seen")
    assert kept[0].vectors.keys() == dropped.vectors.keys() and kept[1].count("<li>") == 1
    assert len(role(kept[2], "photo")[0].z) == 1
    gone = space.on_photo(None, *OPENING)
    assert gone[0] is None and space.NO_PHOTO in gone[1] and not len(role(gone[2], "photo")[0].x)


def test_a_photo_at_the_threshold_reaches_it(shipped, monkeypatch):
    threshold = embedder.load("tiny").points.threshold_for(1e-3)
    face = embedder.as_face(np.zeros((112, 112, 3), np.uint8))
    dropped = space.Dropped(Photo(face.crop, 1.0), face, {"tiny": np.ones(16, np.float32)})
    for score, words in ((threshold, "The best reaches"), (threshold - 1e-6, "The best is below")):
        monkeypatch.setattr(lesson, "nearest_people", lambda *_, score=score: [(0, score)])
        assert words in space.photo_card(dropped, ("tiny",), "unseen")


def test_a_photo_without_a_face_and_a_model_that_is_not_here_say_what_to_do(shipped, album, photos):
    none = space.on_photo(str(album / "p0" / "p0_0004.jpg"), *OPENING)
    assert none[0] is None and "no face was found" in none[1] and len(role(none[2], "person")) == 16
    (zoo.CHECKPOINTS / "other.safetensors").unlink()
    missing = space.on_photo(photos[0], *OPENING)
    assert missing[0] is None and "there is no model &#x27;other&#x27;" in missing[1]
    assert len(role(missing[4], "person")) == 16


def test_every_person_has_a_mark_of_their_own_in_the_list_and_on_the_map():
    assert len({person_style(person) for person in range(32)}) == 32
    neighbors = [(person_style(i), person_style(i + 1)) for i in range(15)]
    assert all(a[0] != b[0] and a[1] != b[1] for a, b in neighbors)
    chips = re.findall(r'data-person="(\d+)".*?fill="(.*?)".*?</svg>(\d+)</button>', People(16).html_template)
    assert [(int(i), color) for i, color, _ in chips] == [(i, person_style(i)[0]) for i in range(16)]
    assert {shape for _, shape in map(person_style, range(16))} == set(PATHS)
    assert all(int(number) == int(i) + 1 for i, _, number in chips)


def test_each_epoch_is_a_frame_on_fixed_axes(shipped):
    run = runs.load("softmax")
    for others in (False, True):
        figure = epochs_figure(run, (others,), "softmax", reach(run))
        points = run.others if others else run.training
        assert len(figure.frames) == 40
        for e in (0, 17, 39):
            _, tips, photos = figure.frames[e].data
            np.testing.assert_allclose(photos.x, points[e, :, 0])
            directions = np.stack([tips.x, tips.y], 1)
            cross = directions[:, 0] * run.prototypes[e, :, 1] - directions[:, 1] * run.prototypes[e, :, 0]
            np.testing.assert_allclose(cross, 0, atol=1e-3)  # a ray points where its prototype does
            assert (
                f"epoch {e + 1}: accuracy {run.accuracy[e, int(others)]:.0%}"
                in figure.frames[e].layout.title.text
            )
        np.testing.assert_allclose(figure.data[2].x, points[-1, :, 0])  # it opens on the last
        low, high = figure.layout.xaxis.range
        assert low < run.training.min() and high > run.training.max() and low == -high
    assert len(figure.to_json()) < 300_000
    assert json.loads(figure.to_json())["layout"]["yaxis"]["scaleanchor"] == "x"


def test_training_and_held_out_photos_stand_side_by_side(shipped):
    run = runs.load("softmax")
    figure = epochs_figure(run, (False, True), "softmax", reach(run))
    for e in (0, 39):
        for points, photos in zip((run.training, run.others), figure.frames[e].data[2::3]):
            np.testing.assert_allclose(np.stack([photos.x, photos.y], 1), points[e])
        assert "training" in figure.frames[e].layout.title.text
    assert [trace.xaxis for trace in figure.data] == ["x"] * 3 + ["x2"] * 3
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.xaxis.domain[1] < figure.layout.xaxis2.domain[0]


def test_late_center_loss_begins_where_softmax_stands():
    """Of the shipped runs: equal for twenty epochs, then more compact, but less than from the beginning."""
    softmax, late, center = map(runs.load, ("softmax", "center_late", "center"))
    begins = runs.LATE["center_late"][0]
    assert np.abs(late.training[:begins] - softmax.training[:begins]).mean() < 0.02  # equal but for rounding
    ratios = [runs.compactness(run) for run in (softmax, late, center)]
    assert ratios[0] > ratios[1] > ratios[2]


def test_both_runs_are_drawn_on_the_same_axes(shipped):
    wide = runs.load("softmax")
    wide.training[:] *= 3
    runs.save(shipped / "epochs" / "softmax.npz", wide)
    left, _, right, _ = space_epochs.show("softmax", "center", False, False)
    assert left.layout.xaxis.range == right.layout.xaxis.range
    assert left.layout.xaxis.range[1] == pytest.approx(reach(wide), rel=1e-3)  # kept in half precision


def test_the_bias_switch_takes_the_other_softmax_run(shipped):
    assert space_epochs.run_name("softmax", True) == "softmax_bias"
    assert space_epochs.run_name("center", True) == "center"
    chart, words, other, _ = space_epochs.show("softmax", "center", False, True)
    assert chart is None and "no run" in words and "make it with" in words  # it was not recorded here
    assert other is not None
    biased = full_run()
    biased.bias[-1, 6] = 3.25
    runs.save(runs.FOLDER / "softmax_bias.npz", biased)
    chart, words, *_ = space_epochs.show("softmax", "center", False, True)
    assert chart is not None and "class 7 has the largest (+3.2)" in words
    assert "norms grow along each ray" in space_epochs.show("softmax", "center", False, False)[1]


def test_the_honest_panel_shows_the_six_shipped_maps_and_fits_a_seventh(shipped, monkeypatch):
    stored = lesson.load("tiny")
    figure = umap_variants.show_six("tiny")
    for trace, at in zip(figure.data, stored.umap_variants):
        np.testing.assert_allclose(trace.x, at[:, 0])
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["seed 0", "seed 1", "seed 2", "n_neighbors 5", "n_neighbors 30"]
    assert tuple((n, s) for n in (5, 30) for s in (0, 1, 2)) == lesson.UMAP_VARIANTS  # row by row
    asked = []

    def fitted(vectors, dims, neighbors=15, seed=0):
        asked.append((vectors, neighbors, seed))
        return vectors[:, :dims]

    monkeypatch.setattr(projection, "umap_map", fitted)
    projection.warm_up.cache_clear()
    umap_variants.on_open("tiny")
    chart, note = umap_variants.fit("tiny", 40, 7)
    np.testing.assert_allclose(asked[-1][0], normalized(stored.unseen.embeddings))
    assert asked[-1][1:] == (40, 7) and "n_neighbors 40 and seed 7" in note and len(chart.data[0].x) == 192
    projection.warm_up.cache_clear()


def test_no_lesson_file_says_how_to_make_one(tmp_path, monkeypatch):
    import gradio as gr

    monkeypatch.setattr(lesson, "FOLDER", tmp_path)
    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    with gr.Blocks() as page:
        assert space.build() == {}
    said = " ".join(str(block.value) for block in page.blocks.values() if isinstance(block, gr.Markdown))
    assert "python -m facelab lessons space MODEL" in said and "python -m facelab lessons epochs" in said


def test_nothing_of_the_tab_is_public_and_a_page_load_fits_no_umap(shipped, monkeypatch):
    import gradio as gr

    monkeypatch.setattr(projection, "umap_map", lambda *_: pytest.fail("a UMAP was fitted"))
    with gr.Blocks() as page:
        controls = space.build()
    assert {"left", "right", "map", "dimensions", "people", "run", "against", "held-out", "bias"} == set(
        controls
    )
    assert (controls["left"].value, controls["right"].value) == ("other", "tiny")
    assert all(fn.api_visibility == "private" for fn in page.fns.values())
    assert all(control.info for control in controls.values())


def test_a_single_point_is_a_map_too():
    figure = space_map("m", np.zeros((1, 2)), np.zeros(1, int), np.ones(2), "v")
    assert [trace.meta for trace in figure.data] == ["person", "ring", "photo"]
    assert len(umap_variant_maps(np.zeros((6, 1, 2)), np.zeros(1, int)).data) == 6
