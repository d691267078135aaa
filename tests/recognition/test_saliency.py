"""The decomposition of the cosine: it sums to the score for both necks, and terms are where they belong."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from facelab.models.model import FaceModel
from facelab.models.zoo import DEFAULT_MODEL, network_of
from facelab.photos.faces import Photo, to_tensor
from facelab.recognition.embedder import as_face, load
from facelab.recognition.saliency import cosine_by_position, cosine_maps, embedding_by_position
from facelab.recognition.verify import Detection, score_faces


@pytest.fixture(scope="module", params=["pool", "flatten"])
def model(request):
    """A small network in float64 whose batch norms have been moved off their initial statistics."""
    torch.manual_seed(0)
    model = FaceModel("resnet_face", request.param, 24, dropout=0.3)
    generator = torch.Generator().manual_seed(1)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.3)
        elif name.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    for norm in model.neck:
        if isinstance(norm, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(norm.bias)
    return model.double().eval()


@pytest.fixture(scope="module")
def faces():
    return torch.rand(2, 3, 112, 112, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 2 - 1


def embedding(model, x, flip):
    with torch.no_grad():
        return model(x[None])[0] + (model(x.flip(2)[None])[0] if flip else 0)


@pytest.mark.parametrize("flip", [True, False])
def test_terms_sum_to_the_embedding_and_pairs_to_the_cosine(model, faces, flip):
    for x in faces:
        total = embedding_by_position(model, x, flip).sum((0, 1))
        torch.testing.assert_close(total, embedding(model, x, flip), rtol=0, atol=1e-9)
    pairs = cosine_by_position(model, *faces, flip)
    wanted = cosine_similarity(*(embedding(model, x, flip) for x in faces), dim=0)
    assert float(pairs.sum()) == pytest.approx(float(wanted), abs=1e-9)


def test_a_term_is_the_linear_map_of_its_own_features(model, faces):
    """The oracle is the neck's derivative: a term is J·x at its position, and the constant is even."""
    with torch.no_grad():
        features = model.backbone(faces[:1])[0]
    jacobian = torch.func.jacrev(lambda x: model.neck(x[None])[0])(features)  # (D, C, h, w)
    with torch.no_grad():
        constant = model.neck(torch.zeros_like(features)[None])[0]
        wanted = torch.einsum("dchw,chw->hwd", jacobian, features) + constant / features[0].numel()
    torch.testing.assert_close(embedding_by_position(model, faces[0], flip=False), wanted, rtol=0, atol=1e-9)
    assert constant.abs().max() > 0.1  # or the even share would not be tested


def test_the_mirrored_face_has_the_mirrored_terms(model, faces):
    """Flip averaging treats a face and its mirror image alike, so their terms mirror each other."""
    terms, mirrored = (embedding_by_position(model, x) for x in (faces[0], faces[0].flip(2)))
    torch.testing.assert_close(mirrored, terms.flip(1), rtol=0, atol=1e-9)
    assert (terms - terms.flip(1)).abs().max() > 1e-3


def test_both_maps_of_one_face_against_itself_agree(model, faces):
    pairs = cosine_by_position(model, faces[0], faces[0])
    torch.testing.assert_close(pairs.sum((2, 3)), pairs.sum((0, 1)), rtol=0, atol=1e-12)
    assert float(pairs.sum()) == pytest.approx(1, abs=1e-12)


def test_the_first_map_is_of_the_first_face():
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    terms = [embedding_by_position(network_of(DEFAULT_MODEL), x) for x in to_tensor(crops)]
    whole = [term.sum((0, 1)) for term in terms]
    for heat, term, other in zip(cosine_maps(DEFAULT_MODEL, *crops), terms, whole[::-1]):
        expected = term @ other / (whole[0].norm() * whole[1].norm())
        np.testing.assert_allclose(heat, expected.numpy(), atol=1e-5)


def test_maps_sum_to_the_score_that_the_page_shows():
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    a, b = (Detection(Photo(crop, 1.0), [as_face(crop)]) for crop in crops)
    score = score_faces(load(), a, b)
    for heat in cosine_maps(DEFAULT_MODEL, *crops):
        assert heat.shape == (4, 4) and heat.sum() == pytest.approx(score, abs=1e-5)
    with pytest.raises(ValueError, match="no model 'reference'"):
        cosine_maps("reference", *crops)
