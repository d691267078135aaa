"""What every row of the table of losses promises: gradients, edges, refusals and state."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from facelab.models.losses import LOSSES, build_loss, loss_options
from facelab.models.recipe import LOSS_FIELDS, Recipe

CLASSES, DIM = 5, 6
SUMS = ["softmax+triplet", "arcface+pairwise", "online_label_smoothing+contrastive"]
NAMES = [*LOSSES, *SUMS]
PAIRS = [name for name, row in LOSSES.items() if row.family == "pair"]
WITH_CLASSES = [name for name in NAMES if name not in PAIRS]
OPTIONS = [
    *[(name, {}) for name in NAMES],
    ("triplet", {"mining": "all"}),
    ("triplet", {"mining": "hard"}),
    ("contrastive", {"normalize": False, "pair_margin": 3.0}),
    ("softmax", {"label_smoothing": 0.1, "bias": False}),
    ("a_softmax", {"margin": 3}),
]


def batch(size: int = 10, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Random embeddings that take a gradient, and labels of the first four of five classes."""
    generator = torch.Generator().manual_seed(size)
    embeddings = torch.randn(size, DIM, generator=generator, dtype=torch.float64).to(dtype)
    return embeddings.requires_grad_(), torch.arange(size) % (CLASSES - 1)


def build(name: str, options: dict[str, object] | None = None, num_classes: int = CLASSES) -> torch.nn.Module:
    """The loss with seeded weights."""
    torch.manual_seed(0)
    return build_loss(name, DIM, num_classes, options or {})


def loss_and_gradient(
    loss_fn: torch.nn.Module, embeddings: torch.Tensor, labels: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """Value and gradient by the embeddings, which must exist and be finite, as must every parameter's."""
    embeddings = embeddings.detach().requires_grad_()
    loss = loss_fn(embeddings, labels)
    assert loss.shape == () and loss.isfinite()
    loss.backward()
    for tensor in (embeddings, *loss_fn.parameters()):
        assert tensor.grad is not None and tensor.grad.isfinite().all()
    return loss.item(), embeddings.grad


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_gradients_match_finite_differences(name: str, options: dict[str, object]) -> None:
    loss_fn = build(name, options).double().eval()
    embeddings, labels = batch(dtype=torch.float64)
    inputs = (embeddings, *loss_fn.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: loss_fn(x, labels), inputs)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_against_the_gradient_lowers_the_loss(name: str) -> None:
    loss_fn = build(name).double().eval()
    embeddings, labels = batch(dtype=torch.float64)
    before, gradient = loss_and_gradient(loss_fn, embeddings, labels)
    assert gradient.norm() > 0
    assert loss_fn(embeddings - 1e-4 * gradient / gradient.norm(), labels) < before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "case", ["one", "equal labels", "different labels", "zero norm", "all the same", "opposite"]
)
def test_edge_batches_give_finite_losses_and_gradients(name: str, case: str) -> None:
    embeddings, labels = batch(5)
    embeddings = embeddings.detach()
    if case == "one":
        embeddings, labels = embeddings[:1], labels[:1]
    elif case == "equal labels":
        labels = torch.full((5,), 2)
    elif case == "different labels":
        labels = torch.arange(5)
    elif case == "zero norm":
        embeddings[1:3] = 0
    elif case == "all the same":
        embeddings[:] = embeddings[0]
    else:
        embeddings[1] = -embeddings[0]
    loss_and_gradient(build(name), embeddings, labels)


ONE_SIDED = [(name, labels) for name in ("triplet", "pairwise") for labels in ([0], [2, 2, 2], [0, 1, 2])]


@pytest.mark.parametrize(("name", "labels"), [*ONE_SIDED, ("contrastive", [0])])
def test_without_a_pair_to_compare_the_loss_is_zero_with_a_gradient(name: str, labels: list[int]) -> None:
    embeddings, _ = batch(len(labels))
    loss, gradient = loss_and_gradient(build(name), embeddings, torch.tensor(labels))
    assert loss == 0 and (gradient == 0).all()


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_100_000_classes(name: str) -> None:
    labels = torch.tensor([0, 99_999, 0, 7])
    if name.startswith("online_label_smoothing"):
        with pytest.raises(ValueError, match=r"num_classes is 100000; legal: at most 20000"):
            build(name, num_classes=100_000)
        return
    loss_fn = build(name, num_classes=100_000)
    loss_and_gradient(loss_fn, batch(4)[0], labels)
    assert loss_fn.logits(batch(4)[0]).shape == (4, 100_000)


@pytest.mark.parametrize("name", NAMES)
def test_bf16_stays_within_a_hundredth_of_float32(name: str) -> None:
    embeddings, labels = batch()
    exact, gradient = loss_and_gradient(build(name), embeddings, labels)
    rough, rough_gradient = loss_and_gradient(build(name), embeddings.bfloat16(), labels)
    assert rough == pytest.approx(exact, rel=1e-2)
    assert (rough_gradient.float() - gradient).norm() < 2e-2 * gradient.norm()
    whole, _ = loss_and_gradient(build(name).bfloat16(), embeddings.bfloat16(), labels)
    assert whole == pytest.approx(exact, rel=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name: str) -> None:
    embeddings, labels = batch()
    exact = build(name)(embeddings, labels)
    with torch.autocast("cpu", torch.bfloat16):
        inside = build(name)(embeddings, labels)
    assert inside.dtype == torch.float32 and torch.equal(inside, exact)


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_logits_name_the_class_without_margin(name: str) -> None:
    embeddings, labels = batch(40)
    loss_fn = build(name)
    optimizer = torch.optim.Adam(loss_fn.parameters(), lr=0.05)
    points = embeddings.detach() + 3 * torch.eye(DIM)[labels]
    for _ in range(60):
        optimizer.zero_grad()
        loss_fn(points, labels).backward()
        optimizer.step()
    logits = loss_fn.logits(points)
    assert logits.shape == (40, CLASSES)
    assert (logits.argmax(1) == labels).float().mean() > 0.8


@pytest.mark.parametrize("name", PAIRS)
def test_pair_losses_have_no_logits(name: str) -> None:
    assert not hasattr(build(name), "logits")


@pytest.mark.parametrize(
    ("name", "options"), [*[(name, {}) for name in NAMES], ("arcface", {"margin_warmup": 7})]
)
def test_state_survives_save_and_load_bit_for_bit(name: str, options: dict, tmp_path) -> None:
    first, labels = build(name, options), batch()[1]
    for seed in range(3):
        first(torch.randn(10, DIM, generator=torch.Generator().manual_seed(seed)), labels)
    if hasattr(first, "end_epoch"):
        first.end_epoch()
        first(batch()[0], labels)
    save_file(first.state_dict(), tmp_path / "loss.safetensors")
    second = build_loss(name, DIM, CLASSES, options)
    second.load_state_dict(load_file(tmp_path / "loss.safetensors"), strict=True)
    for step in range(3):
        embeddings = torch.randn(10, DIM, generator=torch.Generator().manual_seed(9 + step))
        assert torch.equal(first(embeddings, labels), second(embeddings, labels))
    if hasattr(first, "end_epoch"):
        first.end_epoch(), second.end_epoch()
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_changes_no_state(name: str) -> None:
    loss_fn = build(name).eval()
    before = {key: value.clone() for key, value in loss_fn.state_dict().items()}
    loss_fn(*batch())
    assert all(torch.equal(value, before[key]) for key, value in loss_fn.state_dict().items())


BROKEN = ["nan", "infinite", "label too high", "label below zero", "label type", "label count", "label shape"]
BROKEN += ["dimension", "rank", "empty", "integers"]


def broken(case: str) -> tuple[torch.Tensor, torch.Tensor, str]:
    """A bad batch and what the refusal must say."""
    embeddings, labels = batch()
    embeddings = embeddings.detach()
    if case == "nan":
        embeddings[3, 1] = math.nan
        return embeddings, labels, "embeddings hold nan in row 3; every value must be finite"
    if case == "infinite":
        embeddings[4, 0] = -math.inf
        return embeddings, labels, "embeddings hold -inf in row 4; every value must be finite"
    return {
        "label too high": (embeddings, labels + 2, r"label 5 is out of range; legal: 0 to 4"),
        "label below zero": (embeddings, labels - 100, r"label -100 is out of range; legal: 0 to 4"),
        "label type": (
            embeddings,
            labels.float(),
            r"torch.float32 of shape \(10,\); legal: torch.int64, \(10,\)",
        ),
        "label count": (embeddings, labels[:9], r"shape \(9,\); legal: torch.int64, \(10,\)"),
        "label shape": (embeddings, labels[:, None], r"shape \(10, 1\); legal: torch.int64, \(10,\)"),
        "dimension": (embeddings[:, :4], labels, r"shape \(10, 4\); legal: \(B, 6\) with B >= 1"),
        "rank": (embeddings[0], labels, r"shape \(6,\); legal: \(B, 6\)"),
        "empty": (embeddings[:0], labels[:0], r"shape \(0, 6\); legal: \(B, 6\) with B >= 1"),
        "integers": (embeddings.long(), labels, "torch.int64; legal: floating-point types"),
    }[case]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_batch_is_refused_with_its_value_and_the_legal_set(name: str, case: str) -> None:
    embeddings, labels, sentence = broken(case)
    with pytest.raises(ValueError, match=sentence):
        build(name)(embeddings, labels)


def test_large_finite_half_precision_values_are_not_refused() -> None:
    embeddings = torch.full((10, DIM), 60_000.0, dtype=torch.float16)  # their sum is infinite in float16
    assert build("norm_softmax")(embeddings, batch()[1]).isfinite()


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("arcface", {"margin": math.pi / 2}, r"margin is 1.57\d*; legal: 0 to π/2 radians, π/2 excluded"),
        ("arcface", {"margin": 28.6}, r"margin is 28.6; legal: 0 to π/2"),
        ("arcface", {"margin": math.nan}, "margin is nan"),
        ("arcface", {"scale": 0}, "scale is 0; legal: above 0"),
        ("arcface", {"margin_warmup": -1}, r"margin_warmup is -1; legal: 0, 1, 2, ... steps"),
        ("cosface", {"margin": 1.1}, "margin is 1.1; legal: 0 to 1"),
        ("a_softmax", {"margin": 1.5}, r"margin is 1.5; legal: 1, 2, 3, ..."),
        ("a_softmax", {"margin": 0}, r"margin is 0; legal: 1, 2, 3, ..."),
        ("norm_softmax", {"scale": -1}, "scale is -1; legal: above 0"),
        ("softmax", {"label_smoothing": 1.1}, "label_smoothing is 1.1; legal: 0 to 1"),
        ("online_label_smoothing", {"hard_label_weight": 2}, "hard_label_weight is 2; legal: 0 to 1"),
        ("center", {"center_weight": -1}, "center_weight is -1; legal: 0 or more"),
        ("center", {"center_rate": 1.5}, "center_rate is 1.5; legal: 0 to 1"),
        ("contrastive", {"pair_margin": 2.5}, "pair_margin is 2.5; legal: above 0, up to 2.0"),
        ("pairwise", {"pair_margin": 3}, "pair_margin is 3; legal: 0 to 2"),
        ("triplet", {"pair_margin": 5}, "pair_margin is 5; legal: 0 to 4"),
        ("triplet", {"mining": "easy"}, "mining is 'easy'; legal: all, semi_hard, hard"),
        ("softmax+triplet", {"pair_weight": -1}, "pair_weight is -1; legal: 0 or more"),
        ("softmax", {"margin": 0.5}, "loss 'softmax' has no option 'margin': Legal: label_smoothing, bias"),
        ("arcfase", {}, "unknown loss 'arcfase': did you mean arcface"),
        ("triplet+softmax", {}, r"loss is 'triplet\+softmax'; legal: .* a classification \+ a pair loss"),
        ("softmax+arcface", {}, "a classification"),
        ("softmax+triplet+pairwise", {}, "a classification"),
    ],
)
def test_a_bad_option_is_refused_with_its_value_and_the_legal_set(
    name: str, options: dict, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(name, options)


def test_a_sum_adds_its_parts_with_the_weight() -> None:
    embeddings, labels = batch()
    whole = build("softmax+triplet", {"pair_weight": 0.25, "mining": "hard", "bias": False})
    parts = build("softmax", {"bias": False}), build("triplet", {"mining": "hard"})
    expected = parts[0](embeddings, labels) + 0.25 * parts[1](embeddings, labels)
    assert torch.equal(whole(embeddings, labels), expected)
    assert torch.equal(whole.logits(embeddings), parts[0].logits(embeddings))


def test_every_option_is_a_recipe_field_and_every_loss_field_an_option() -> None:
    options = {option for name in NAMES for option in loss_options(name)}
    assert options == set(LOSS_FIELDS)


def test_a_recipe_describes_a_sum() -> None:
    recipe = Recipe(loss="arcface+triplet", margin=0.3, pair_margin=0.1, mining="hard", pair_weight=2.0)
    loss_fn = build_loss(recipe.loss, DIM, CLASSES, recipe.loss_options())
    assert (loss_fn.classification.margin, loss_fn.pair.pair_margin, loss_fn.pair_weight) == (0.3, 0.1, 2.0)
    assert loss_fn.pair.mining == "hard"
    with pytest.raises(ValueError, match="loss 'triplet' takes no margin"):
        Recipe(loss="triplet", margin=0.3)
