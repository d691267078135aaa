"""Maps: PCA against scikit-learn, UMAP's determinism, refusals, and where a new point goes."""

import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA

from facelab.lessons import projection
from facelab.lessons.projection import fit_pca, place, umap_map

CLOUD = np.random.default_rng(0).normal(size=(60, 12)) * np.linspace(3, 0.1, 12)


@pytest.mark.parametrize("dims", [2, 3])
def test_pca_is_scikit_learns_up_to_signs(dims):
    ours, theirs = fit_pca(CLOUD, dims), PCA(dims, svd_solver="full").fit(CLOUD)
    signs = np.sign((ours.axes * theirs.components_).sum(1))
    np.testing.assert_allclose(ours.axes * signs[:, None], theirs.components_, atol=1e-9)
    assert ours.share == pytest.approx(theirs.explained_variance_ratio_.sum(), abs=1e-12)
    np.testing.assert_allclose(ours.project(CLOUD) * signs, theirs.transform(CLOUD), atol=1e-5)
    assert ours.project(CLOUD).dtype == np.float32
    assert (ours.axes[np.arange(dims), np.abs(ours.axes).argmax(1)] > 0).all()


def test_pca_places_new_points_exactly_and_keeps_a_plane_whole():
    plane = CLOUD[:, :2] @ np.linalg.qr(CLOUD[:7, :2])[0].T + 5  # a plane in seven dimensions
    flat = fit_pca(plane, 2)
    assert flat.share == pytest.approx(1)
    apart = lambda x: np.linalg.norm(x[:, None] - x[None], axis=2)  # noqa: E731
    np.testing.assert_allclose(apart(flat.project(plane)), apart(plane), atol=1e-4)
    middle = plane[:2].mean(0)
    np.testing.assert_allclose(flat.project(middle[None])[0], flat.project(plane[:2]).mean(0), atol=1e-5)


def test_umap_repeats_with_its_seed_and_keeps_directions_together():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 20)
    centers = np.eye(8)[:2] * 10
    lengths = rng.uniform(0.1, 100, 40)[:, None]  # which the cosine does not see
    cloud = (centers[labels] + rng.normal(size=(40, 8))) * lengths
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        first, again, other = (umap_map(cloud, 2, 5, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert first.shape == (40, 2) and first.dtype == np.float32
    distances = np.linalg.norm(first[:, None] - first[None], axis=2) + np.eye(40) * 1e9
    assert (labels[distances.argmin(1)] == labels).all()
    assert umap_map(cloud, 3, 5).shape == (40, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_pca(CLOUD[:2], 2), "a map needs 3 to 1,500 points, not 2"),
        (lambda: fit_pca(CLOUD, 4), "2 or 3 dimensions, not 4"),
        (lambda: fit_pca(CLOUD[:, :2], 3), "D >= 3"),
        (lambda: fit_pca(np.full((5, 3), np.nan), 2), "finite"),
        (lambda: umap_map(CLOUD, 2, 60), "a map needs 61 to 1,500 points, not 60"),
        (lambda: umap_map(np.zeros((1501, 4)), 2), "1,500 points, not 1,501"),
        (lambda: umap_map(CLOUD, 2, 1), "n_neighbors 1"),
        (lambda: umap_map(CLOUD, 2, 5, -1), "seed -1"),
    ],
)
def test_refusals_are_one_sentence(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert words in str(error.value) and "\n" not in str(error.value)


def test_umap_compiles_once_in_the_background(monkeypatch):
    calls = []
    monkeypatch.setattr(projection, "umap_map", lambda cloud, dims: calls.append(dims))
    projection.warm_up.cache_clear()
    first, second = projection.warm_up(), projection.warm_up()
    first.join(10)
    assert first is second and first.daemon and calls == [2]
    projection.warm_up.cache_clear()


def test_a_new_point_goes_to_the_weighted_mean_of_its_nearest():
    at = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 2], [100, 100]], float)
    cosines = np.array([0.9, 0.3, 0.3, 0.2, 0.1, -0.5])
    expected = (at[:5] * cosines[:5, None]).sum(0) / cosines[:5].sum()
    np.testing.assert_allclose(place(at, cosines), expected, rtol=1e-6)
    assert place(at[:2], np.array([0.5, -0.9])).tolist() == [0, 0]  # an opposite weighs nothing
    np.testing.assert_allclose(place(at, -np.arange(1.0, 7)), at[:5].mean(0))  # all opposite: their mean
