"""A gallery on a Qdrant server, against the client's small one in this process (`:memory:`), not a server."""

import numpy as np
import pytest

from facelab.recognition.qdrant_gallery import QdrantGallery, connect
from facelab.recognition.stored_gallery import StoredGallery

PEOPLE, NAMES = [f"p{i % 4}" for i in range(20)], [f"{i}.jpg" for i in range(20)]


def vectors(count, seed=0, dim=8):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


@pytest.fixture
def client():
    return connect(":memory:")


def rounded(answers):
    return [[(m.person, m.name, round(m.score, 4)) for m in row] for row in answers]


def test_it_answers_as_a_gallery_in_a_folder_does_after_every_change(client, tmp_path):
    here, there = StoredGallery.create(tmp_path / "g", "strong"), QdrantGallery(client, "faces", "strong")
    probes = vectors(3, 9)
    changes = (
        lambda g: g.add(PEOPLE, NAMES, vectors(20)),
        lambda g: g.add(["p0", "new"], ["0.jpg", "a.jpg"], vectors(2, 3)),
        lambda g: g.remove("p2"),
        lambda g: g.remove("nobody"),
        lambda g: g.update("p1", ["only.jpg"], vectors(1, 4)),
    )
    for change in changes:
        assert change(here) == change(there)
        assert rounded(here.search(probes, 5)) == rounded(there.search(probes, 5))
        assert here.counts() == there.counts() and len(here) == len(there)
    assert here.holds("p0", "3.jpg") == there.holds("p0", "3.jpg") and there.holds("p1", "only.jpg")
    again = QdrantGallery(client, "faces")
    assert again.model == "strong" and again.dim == 8 and again.counts() == here.counts()


def test_a_stopped_upload_goes_on_and_sends_nothing_twice(client, monkeypatch):
    monkeypatch.setattr("facelab.recognition.qdrant_gallery.BATCH", 6)
    gallery, sent, real = QdrantGallery(client, "faces", "strong"), [], client.upsert

    def failing(name, points, **named):
        if len(sent) == 2:
            raise ConnectionError("the server is gone")
        sent.append(len(points.ids))
        return real(name, points, **named)

    monkeypatch.setattr(client, "upsert", failing)
    with pytest.raises(ConnectionError):
        gallery.add(PEOPLE, NAMES, vectors(20))
    monkeypatch.setattr(client, "upsert", lambda *args, **named: (sent.append("again"), real(*args, **named)))
    assert QdrantGallery(client, "faces", "strong").add(PEOPLE, NAMES, vectors(20)) == 8
    assert sent == [6, 6, "again", "again"] and len(gallery) == 20


def test_search_is_exact_unless_it_is_turned_off(client, monkeypatch):
    QdrantGallery(client, "faces", "strong").add(PEOPLE, NAMES, vectors(20))
    asked, real = [], client.query_batch_points
    monkeypatch.setattr(
        client, "query_batch_points", lambda name, requests: (asked.extend(requests), real(name, requests))[1]
    )
    QdrantGallery(client, "faces").search(vectors(1), 2)
    QdrantGallery(client, "faces", exact=False).search(vectors(1), 2)
    assert [request.params.exact for request in asked] == [True, False]


def test_another_model_and_another_s_collection_are_refused_in_words(client):
    QdrantGallery(client, "faces", "strong").add(["a"], ["b"], vectors(1))
    with pytest.raises(ValueError, match="'faces' holds embeddings of strong, not of other"):
        QdrantGallery(client, "faces", "other")
    with pytest.raises(ValueError, match="no gallery 'none'; `python -m facelab gallery build`"):
        QdrantGallery(client, "none")
    client.create_collection("bare", vectors_config={})
    with pytest.raises(ValueError, match="not made by facelab"):
        QdrantGallery(client, "bare")
    with pytest.raises(ValueError, match=r"shape \(1, 3\); give \(N, 8\)"):
        QdrantGallery(client, "faces").search(vectors(1, dim=3))
    with pytest.raises(ValueError, match="has no one in it"):
        QdrantGallery(client, "new", "strong").search(vectors(1))
