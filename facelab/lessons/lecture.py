"""The lecture as cards, in its order: an idea, one action, one expected figure, and where the page shows it.

Every expected figure is read from a shipped file or computed by the function that trains, when the page
starts, so that a new training changes the card with the tab.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facelab.lessons import (
    block_diagram,
    calibration,
    code_diff,
    epochs,
    family_tree,
    loss_curves,
    smoothing,
    space,
    transfer,
)
from facelab.lessons.dropout_masks import effects
from facelab.lessons.live import shipped_run
from facelab.models.checkpoint import describe
from facelab.models.zoo import DEFAULT_MODEL, find_checkpoint

GALLERY, FAR = 11, 1e-3  # photos in the Identify tab's gallery, and the rate of one comparison
ANGLES, MARGIN = [30.0, 100.0, 65.0], 0.2  # the triplet that the Losses tab opens on
UNMEASURED = "not measured in this copy; see docs/training.md"


@dataclass(frozen=True)
class Card:
    """One topic of the lecture.

    Attributes:
        topic: its number in the lecture.
        title: two to five words.
        idea: one or two sentences.
        action: what to do, in one sentence.
        expect: the expected figure, in words.
        tab: where.
        settings: the tab's settings, as links name them.
        opens: the id of a folded section that must be open, or ''.
        shows: the id of the figure or card that makes the point.
    """

    topic: int
    title: str
    idea: str
    action: str
    expect: str
    tab: str
    settings: str
    opens: str
    shows: str

    @property
    def number(self) -> int:
        """Return its place among `cards`, from 1; two cards can share a topic."""
        return cards().index(self) + 1

    @property
    def link(self) -> str:
        """Return the address of its state: tab, settings, section, figure, and its own number."""
        parts = [f"tab={self.tab}", self.settings, self.opens and f"open={self.opens}", f"at={self.shows}"]
        return "?" + "&".join([*filter(None, parts), f"card={self.number}"])


def _verification() -> str:
    points = describe(find_checkpoint(DEFAULT_MODEL)).operating_points
    return (
        f"threshold {points.threshold_for(1e-2):.3f} at FAR 1%, {points.threshold_for(1e-3):.3f} at FAR 0.1%"
    )


def _one_network() -> str:
    plain = effects()[0]
    return f"top-1 accuracy {plain.top_1:.1%} on held-out photos, {plain.lfw:.1%} of LFW’s pairs right"


def _open_set() -> str:
    return f"FPIR about 1 − (1 − FAR)^{GALLERY} = {1 - (1 - FAR) ** GALLERY:.1%} at FAR {FAR:.1%}"


def _run() -> str:
    last = shipped_run.load().last
    eer = last.figures[-1][1]["eer"]
    return f"recorded run: loss {last.losses[0]:.2f} to {last.losses[-1]:.2f}, EER {eer:.1%}"


def _transfer() -> str:
    found = transfer.load()
    fewest = min(one.shots for one in found)
    means = {
        start: float(np.mean([one.accuracy for one in found if (one.start, one.shots) == (start, fewest)]))
        for start in {one.start for one in found}
    }
    best, worst = (pick(means, key=means.get) for pick in (max, min))
    return f"with {fewest} photo per identity {means[best]:.0%} ({best}) against {means[worst]:.0%} ({worst})"


def _architectures() -> str:
    equal = [score.accuracy for found in family_tree.scores().values() for score in found if score.equal]
    return f"LFW accuracy from {min(equal):.1%} to {max(equal):.1%} under one training recipe"


def _blocks() -> str:
    wide, narrow = (
        "–".join(f"{n}" for n in (block.layers[0].before, *(layer.after for layer in block.layers)))
        for block in map(block_diagram.block_of, ("resnet50", "mobilenet_v2"))
    )
    return f"channels {wide} in ResNet-50’s block, {narrow} in MobileNetV2’s"


def _lines() -> str:
    names = ("resnext50_32x4d", "se_resnet50", "regnet_x_400mf")
    counted = [code_diff.written(name) for name in names]
    return "{}, {} and {} changed lines (ResNeXt, SENet, RegNet); the lecture says 3, 20 and 10".format(
        *counted
    )


def _discriminative() -> str:
    far = [
        float(np.linalg.norm(epochs.load(name).training[-1], axis=1).max()) for name in ("softmax", "center")
    ]
    return "farthest embedding {:.1f} from the origin with softmax, {:.1f} with center loss".format(*far)


def _center() -> str:
    plain, center = (space.load(name).unseen.figures for name in ("softmax", "center"))
    return f"intra-class angle {plain.intra:.1f}° with softmax, {center.intra:.1f}° with center loss"


def _triplet() -> str:
    loss = loss_curves.one_triplet(loss_curves.on_circle(ANGLES), MARGIN).loss
    return f"loss {loss:.3f} for a hard negative, m = {MARGIN:g}"


def _collapse() -> str:
    return f"loss {MARGIN:g}, the margin, when all embeddings are equal"


def _scale() -> str:
    best = loss_curves.best_probability(1.0, 1000)
    return f"without a scale (s = 1), at most 1 in {1 / float(best):,.0f} with K = 1,000 classes"


def _pairs() -> str:
    genuine = loss_curves.normal_scores(0.55, 0.18, loss_curves.GENUINE)
    impostor = loss_curves.normal_scores(0.1, 0.15, loss_curves.IMPOSTOR)
    return f"EER {loss_curves.separation(genuine, impostor)[0]:.1%} of the opening distributions"


def _smoothing() -> str:
    overfit = [one for one in calibration.load_all() if one.overfit and one.loss == "softmax"]
    found = sorted(overfit, key=lambda one: one.label_smoothing)
    sure = float(found[0].confidence[found[0].nearest(1.0)].mean())
    eces = ", ".join(f"{one.reliability().ece():.1%} (α = {one.label_smoothing:g})" for one in found)
    return f"overfit recipe: mean confidence {sure:.0%}, accuracy {found[0].accuracy():.0%}; ECE {eces}"


def _by_hand() -> str:
    target = ", ".join(f"{p:.4f}" for p in smoothing.targets(3, 0.1))
    return f"target [{target}], reached by a gap of {smoothing.optimal_gap(3, 0.1):.2f}"


def _drop_block() -> str:
    plain, *others = [one for one in effects() if one.eer is not None]
    dropped = next(one for one in others if "drop_block" in one.change)
    return f"EER on unseen identities {plain.eer:.1%} without, {dropped.eer:.1%} with DropBlock"


def _budget() -> str:
    total = family_tree.budget("resnext50_32x4d", "pool", 512, 7000).total
    return f"{total / 1e6:.1f} of 30 million parameters (ResNeXt-50, D = 512, K = 7,000)"


def _read(figure: Callable[[], str]) -> str:
    """Return a figure in words, or that this copy has no measurement of it."""
    try:
        return figure()
    except (ValueError, KeyError, IndexError, AttributeError, StopIteration, TypeError):
        return UNMEASURED


ROWS = (  # topic, title, idea, action, figure, tab, settings, folded section, what is shown
    (1, "Verification",
        "Are two photos of one person? A CNN maps each face to an embedding; the cosine similarity of the "
        "two is compared with a threshold.",
        "Set the false accept rate (FAR) to 1%: the decision on the opening pair changes.",
        _verification, "compare", "", "", "chart"),
    (2, "Classification and verification",
        "One network serves both: train it to classify, remove the classifier, keep its embeddings.",
        "Press “Enrolled person”: one embedding gives two answers.",
        _one_network, "identify", "", "", "answers"),
    (3, "Open set and closed set",
        "At test time there are unseen identities, not in the training set. Closed set: the nearest; open "
        "set: “unknown” below the threshold.",
        "Lower the rate: fewer unenrolled persons are accepted.",
        _open_set, "identify", "strictness=3", "", "dir-chart"),
    (4, "Training",
        "By classification: linear layer and cross-entropy. By verification: pairs or triplets through "
        "one CNN with shared weights.",
        "Compare loss and EER: they need not fall together.",
        _run, "train", "loss=softmax", "", "train-course"),
    (5, "Transfer learning",
        "Initialize from trained weights, then train all layers, or freeze them and train the head.",
        "Read the curves from left to right: what do few photos need?",
        _transfer, "transfer", "", "", "transfer-curves"),
    (6, "Architectures",
        "AlexNet to ConvNeXt: each network is a change to an earlier one.",
        "Choose ResNet-50, then ConvNeXt, and follow the lineage.",
        _architectures, "architectures", "network=resnet50", "", "tree-chart"),
    (6, "Bottleneck, inverted",
        "ResNet’s 3×3 convolution works on few channels; MobileNetV2 widens first, filters each channel "
        "alone, and squeezes again.",
        "Compare the two profiles; choose ConvNeXt next.",
        _blocks, "architectures", "network=mobilenet_v2", "", "blocks"),
    (7, "Papers in a few lines",
        "ResNeXt, SENet, RegNet and others differ from ResNet by a few lines of code.",
        "Read the changed lines; choose SENet next.",
        _lines, "architectures", "network=resnext50_32x4d", "", "code"),
    (8, "Discriminative features",
        "Classification makes features separable; verification needs small intra-class and large inter-class "
        "distance.",
        "Drag the epoch: compare the two 2-D maps.",
        _discriminative, "embedding-space", "run=softmax&against=center", "", "epochs-right"),
    (9, "Center loss",
        "Add the squared distance to the class center to the loss, from the beginning of training.",
        "Compare the intra-class angles of softmax and center loss.",
        _center, "embedding-space", "left=softmax&right=center", "", "space-right"),
    (10, "Triplet loss",
        "The positive must be nearer to the anchor than the negative by a margin; hard negatives have the "
        "largest loss.",
        "Drag the negative away from the anchor until the loss is 0.",
        _triplet, "losses", "", "losses-triplets", "triplet-circle"),
    (10, "Collapse",
        "Training on the hardest triplets alone can make all embeddings equal.",
        "Press “Fix it”: train on all triplets instead.",
        _collapse, "losses", "mining=hard", "losses-collapse", "collapse-course"),
    (11, "ArcFace",
        "Softmax on the angle, with a margin m added to the target angle and a scale s.",
        "Move ArcFace’s margin: the gap between the classes opens.",
        _scale, "losses", "", "losses-margins", "regions-chart"),
    (12, "Pair losses",
        "Contrastive loss looks at one pair at a time; pairwise loss separates the score distributions.",
        "Move the genuine mean: which pairs keep a gradient?",
        _pairs, "losses", "", "losses-pairs", "pairs-chart"),
    (13, "Label smoothing",
        "A network that is confident beyond its accuracy is poorly calibrated. Smoothed targets lower its "
        "confidence.",
        "Choose a larger α, and compare ECE and EER.",
        _smoothing, "calibration", "", "", "reliability-chart"),
    (13, "Label smoothing by hand",
        "A one-hot target drives logits apart without bound; a smoothed target is reached by finite logits.",
        "Move the gap: the smoothed loss has a minimum.",
        _by_hand, "calibration", "alpha=0.1&gap=3.33&classes=3", "", "hand-chart"),
    (14, "DropBlock",
        "Neighboring activations are correlated, so drop contiguous regions instead of single values.",
        "Enlarge the block: neighbors explain less of what is dropped.",
        _drop_block, "regularization", "stage=stage1&rate=0.2&block=5", "", "dropped"),
    (15, "The homework",
        "Load the data folders, train, evaluate, write both submissions; the network has at most 30 "
        "million parameters.",
        "Copy the run as Python, and change it.",
        _budget, "train", "", "train-code", "train-python"),
)  # fmt: skip


@functools.cache
def cards() -> tuple[Card, ...]:
    """Return all cards in the lecture's order, with their figures."""
    return tuple(Card(*row[:4], _read(row[4]), *row[5:]) for row in ROWS)
