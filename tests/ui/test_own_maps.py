"""Maps of a visitor's runs: which photos they draw, when two are linked, and UMAP after PCA."""

import numpy as np
import pytest

from facelab.data.formats.vectors import Vectors
from facelab.evaluation.own_maps import mapped
from facelab.evaluation.own_vectors import MOST_MAPPED
from facelab.lessons import projection
from facelab.ui.own import maps
from facelab.ui.own.maps import Maps
from facelab.ui.widgets import vector_cards
from facelab.ui.widgets.current import Shown


def vectors(people, each=4, seed=0, dims=6, labels=True):
    rng = np.random.default_rng(seed)
    who = tuple(f"p{i:03d}" for i in np.repeat(np.arange(people), each))
    names = tuple(f"{person}/{i}" for i, person in enumerate(who))
    return Vectors(names, rng.normal(size=(len(who), dims)).astype(np.float32), who if labels else None)


def maps_of(**runs):
    return Maps({slot: f"{slot}: mine" for slot in runs}, mapped(runs))


def points(figure):
    """[(identity's name, photos), ...] as drawn."""
    return [(trace.name, len(trace.x)) for trace in figure.data if trace.meta == "person"]


@pytest.fixture
def quick_umap(monkeypatch):
    """UMAP as the first two dimensions, and the sizes that it was asked for."""
    asked = []

    def umap_map(embeddings, dims, neighbors):
        asked.append((len(embeddings), neighbors))
        return embeddings[:, :dims]

    monkeypatch.setattr(vector_cards, "umap_map", umap_map)
    monkeypatch.setattr(projection, "warm_up", Done)
    return asked


class Done:
    def join(self):
        """As a thread that has ended."""


def test_many_photos_are_sampled_by_whole_identities_and_the_note_says_so():
    found = mapped({"A": vectors(200, 8)})["A"]
    assert len(found.labels) == MOST_MAPPED and found.photos == 1600 and not found.linked
    counts = np.bincount(found.labels)
    assert (counts[counts > 0] == 8).sum() >= len(counts) - 1
    np.testing.assert_allclose(np.linalg.norm(found.embeddings, axis=1), 1, rtol=1e-5)
    assert "1,500 of 1,600 photos are drawn" in maps.draw(maps_of(A=vectors(200, 8)), "pca")[2]


def test_two_maps_draw_the_same_photos_in_the_same_order_whatever_the_order_of_the_files():
    first = vectors(5)
    order = np.random.default_rng(1).permutation(20)[:17]
    second = Vectors(tuple(first.names[i] for i in order), 2 * first.embeddings[order], None)
    found = mapped({"A": first, "B": second})
    np.testing.assert_allclose(found["A"].embeddings, found["B"].embeddings, rtol=1e-5)
    assert len(found["A"].labels) == 17 and found["A"].linked and found["B"].linked
    one, two, note = maps.draw(maps_of(A=first, B=second), "pca")
    assert one.layout.meta == two.layout.meta and points(one) == points(two) and "not linked" not in note
    assert points(one)[0][0] == "identity p000"


def test_runs_without_common_photos_are_not_linked_and_the_note_says_why():
    first, second = vectors(5), vectors(6, dims=9)
    second = Vectors(tuple(f"other {name}" for name in second.names), second.embeddings, second.identities)
    one, two, note = maps.draw(maps_of(A=first, B=second), "pca")
    assert one.layout.meta != two.layout.meta and len(points(one)) == 5 and len(points(two)) == 6
    assert maps.APART in note


def test_what_cannot_be_drawn_is_left_out():
    assert mapped({"A": vectors(5, labels=False)}) == {}
    assert mapped({"A": vectors(5, labels=False), "B": vectors(5, labels=False)}) == {}
    assert mapped({"A": vectors(1, 2)}) == {} and mapped({"A": vectors(5, dims=1)}) == {}
    assert [*mapped({"A": vectors(5, dims=1), "B": vectors(5)})] == ["B"]
    assert maps.draw(maps_of(A=vectors(5, labels=False)), "umap") == [None, None, ""]


def test_names_of_a_file_are_text_on_a_map():
    one = vectors(2)
    evil = Vectors(one.names, one.embeddings, ("<a href=x>",) * 4 + ("%{x}",) * 4)
    assert [name for name, _ in points(maps.draw(maps_of(A=evil), "pca")[0])] == [
        "identity %{x}",
        "identity ‹a href=x›",
    ]


def test_pca_stays_with_a_note_until_umap_is_computed(quick_umap):
    drawn, shown = maps_of(A=vectors(5), B=vectors(5, seed=1)), Shown()
    shown.note(maps=drawn, method="umap")
    first, last = maps.on_method(drawn, "umap", shown)
    assert "PCA" in first[0].layout.title.text and maps.WAIT in first[2]
    assert "UMAP" in last[0].layout.title.text and "UMAP preserves neighborhoods" in last[2]
    assert quick_umap == [(20, 15), (20, 15)]
    (back,) = maps.on_method(drawn, "pca", shown)
    assert "PCA" in back[0].layout.title.text and "PCA draws" in back[2]
    assert [*maps.on_run(drawn, "pca", shown)] == [[maps.gr.skip()] * 3], "it is drawn already"
    assert len([*maps.on_run(drawn, "umap", shown)]) == 2


def test_a_umap_of_runs_that_the_page_no_longer_shows_is_dropped(quick_umap):
    drawn, shown = maps_of(A=vectors(5)), Shown()
    shown.note(maps=drawn)
    answers = maps.on_method(drawn, "umap", shown)
    next(answers)
    shown.note(maps=maps_of(A=vectors(6)))
    assert next(answers) == [maps.gr.skip()] * 3


def test_too_few_photos_for_umap_are_drawn_by_pca_which_the_note_says(quick_umap):
    drawn = maps_of(A=vectors(2, 2))
    (only,) = maps.on_method(drawn, "umap", Shown())
    assert maps.FEW in only[2] and "PCA" in only[0].layout.title.text and not quick_umap
    assert [*maps.on_method(None, "umap", Shown())] == [[maps.gr.skip()] * 3]


def test_nothing_of_a_map_is_left_after_the_visit():
    drawn = maps_of(A=vectors(5))
    maps.forget(drawn)
    maps.forget(None)
    assert not drawn.drawn["A"].embeddings.any()
