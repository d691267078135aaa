"""The family tree, its costs against published counts and real modules, and code compared line by line."""

import itertools

import pytest
import torch
from torch import nn

from facelab.lessons import family_tree
from facelab.lessons.code_diff import CLAIMS, RESNET, Part, changes, code, definitions, written
from facelab.lessons.family_tree import (
    COSTS,
    budget,
    costs,
    lanes,
    latency,
    lineage,
    measure_cost,
    paper_of,
    papers,
)
from facelab.models import checkpoint, zoo
from facelab.models.backbones import BACKBONES
from facelab.models.backbones.resnet import bottleneck, resnet50
from facelab.models.losses import build_loss
from facelab.models.model import FaceModel

POOLED = [  # ImageNet networks that end in pooling and one linear layer, with nothing learned between
    name
    for name, row in BACKBONES.items()
    if row.published_parameters and row.family not in {"AlexNet", "VGG", "ConvNeXt"}
]


@pytest.mark.parametrize("name", POOLED)
def test_kept_counts_and_a_classifier_give_the_published_parameters(name):
    cost = costs()[name]
    classifier = cost.shape[0] * 1000 + 1000
    assert cost.parameters + classifier == BACKBONES[name].published_parameters


@pytest.mark.parametrize("name", ["alexnet_face", "vgg_face", "resnet_face"])
def test_the_file_is_what_the_networks_are(name):
    assert COSTS.is_file() and costs()[name] == measure_cost(name)


def test_a_network_that_the_file_lacks_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(family_tree, "BACKBONES", {"alexnet_face": BACKBONES["alexnet_face"]})
    path = tmp_path / "costs.json"
    assert costs(path) == {"alexnet_face": measure_cost("alexnet_face")}
    family_tree.write_costs(path)
    monkeypatch.setattr(family_tree, "measure_cost", None)  # it is all in the file now
    costs.cache_clear()
    assert costs(path)["alexnet_face"].shape == (128, 6, 6)
    costs.cache_clear()


@pytest.mark.parametrize(("neck", "dim", "people"), [("pool", 64, 10), ("flatten", 32, 250)])
def test_the_budget_counts_what_is_trained(neck, dim, people):
    model, head = FaceModel("alexnet_face", neck, dim), build_loss("softmax", dim, people, {})
    found = budget("alexnet_face", neck, dim, people)
    real = [sum(p.numel() for p in part.parameters()) for part in (model.backbone, model.neck, head)]
    assert [found.backbone, found.neck, found.head] == real and found.total == sum(real)
    assert found.head == dim * people + people


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resnet5", "pool", 64, 10), "unknown backbone 'resnet5'"),
        (("resnet50", "pol", 64, 10), "unknown neck 'pol'"),
        (("resnet50", "pool", 64, 0), "both must be 1 or more"),
    ],
)
def test_budget_refuses_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        budget(*arguments)


def test_every_paper_is_in_the_tree_once_and_younger_than_its_parent():
    assert sorted(name for paper in papers().values() for name in paper.members) == sorted(BACKBONES)
    assert len({paper.year for paper in papers().values()}) > 6
    for paper in papers().values():
        assert paper_of(paper.members[0]) is paper
        if paper.parent:
            assert papers()[paper.parent].year <= paper.year and paper.change
    assert [paper.label for paper in papers().values() if paper.parent is None] == ["AlexNet"]
    assert lineage("NFNet") == ("AlexNet", "VGG", "ResNet", "SENet", "NFNet")
    assert lineage("EfficientNet")[-3:] == ("MobileNet (2017)", "MobileNet (2018)", "EfficientNet")


def test_a_subtree_has_lanes_of_its_own_right_below_its_parent():
    line = lanes()
    assert sorted(line.values()) == list(range(len(papers())))
    for label, lane in line.items():
        below = [line[other] for other in papers() if label in lineage(other)]
        assert sorted(below) == list(range(lane, lane + len(below)))


def test_scores_come_from_the_headers_best_first(tiny_run, tmp_path, monkeypatch):
    model, loss_fn, header = tiny_run
    for name, accuracy in (("one", 0.71), ("two", 0.83)):
        measured = checkpoint.with_metrics(header, "lfw_view2", {"accuracy": accuracy})
        checkpoint.save(tmp_path / f"{name}.safetensors", model, loss_fn, measured)
    checkpoint.save(tmp_path / "unjudged.safetensors", model, loss_fn, header)
    monkeypatch.setattr(zoo, "CHECKPOINTS", tmp_path)
    found = family_tree.scores()
    assert list(found) == ["resnet_face"]
    assert [(s.name, s.accuracy, s.loss) for s in found["resnet_face"]] == [
        ("two", 0.83, "softmax"),
        ("one", 0.71, "softmax"),
    ]


def test_latency_is_the_median_without_the_first_run(monkeypatch):
    took = iter([9.0, 0.004, 0.002, 0.5])  # the first is the warm-up
    clock = itertools.accumulate(x for t in took for x in (1.0, t))
    monkeypatch.setattr(family_tree.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(family_tree, "build_backbone", lambda name: nn.Conv2d(3, 2, 1))
    assert latency("any", repeats=3) == pytest.approx(4.0)


def test_the_courses_claims_counted():
    """Two lines for ResNeXt, as its authors say; RegNet's is its plan; SENet's is its module."""
    assert {name: written(name, RESNET) for name in CLAIMS} == {
        "resnext50_32x4d": 2,
        "se_resnet50": 11,
        "regnet_x_400mf": 11,
    }
    (block,) = changes("resnext50_32x4d")
    assert block.name == "resnext_block" and "groups: int=32" in block.after[0]
    assert "channels // 4" in block.before[1] and "channels // 2" in block.after[1]
    assert {part.name for part in changes("se_resnet50")} == {"se_bottleneck", "se_resnet50", "SqueezeExcite"}
    assert {part.name for part in changes("regnet_x_400mf", RESNET)} == {
        "x_block", "regnet_x_400mf", "regnet_plan"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["alexnet", "densenet121", "nfnet_f0", "convnext_face"])
def test_a_network_does_not_differ_from_itself(name):
    assert changes(name, name) == () and written(name, name) == 0


def test_a_renamed_block_is_no_change_and_a_plan_is_one_line():
    (plan,) = changes("resnet34")
    assert (plan.name, plan.written, len(plan.before)) == ("resnet34", 1, 2)
    assert plan.before[0] == "def resnet18() -> nn.Sequential:" == plan.after[0]


def test_code_is_without_docstrings_and_comments():
    for thing in definitions("resnext50_32x4d").values():
        lines = code(thing, {})
        assert lines and not any('"""' in line or "#" in line or not line.strip() for line in lines)
    assert code(resnet50, {"resnet50": "a", "bottleneck": "b"})[1].count(", b, ") == 1
    assert code(bottleneck, {})[0].startswith("def bottleneck(in_channels: int")


def test_what_is_written_is_what_is_not_there_before():
    assert Part("f", (), ("a", "b")).written == 2
    assert Part("f", ("a", "b", "c"), ("a", "x", "c")).written == 1
    assert Part("f", ("a", "b", "c"), ("a", "c")).written == 0  # a line fell away: nothing to write
    assert Part("f", ("a",), ("a", "a")).written == 1


def test_an_unknown_network_is_named():
    for arguments in (("resnet5",), ("resnet50", "resnet5")):
        with pytest.raises(ValueError, match="unknown backbone 'resnet5'"):
            changes(*arguments)


def test_definitions_are_this_projects_alone():
    found = definitions("se_resnet50")
    assert list(found)[:2] == ["se_bottleneck", "se_resnet50"] and "SqueezeExcite" in found
    assert all(thing.__module__.startswith("facelab.") for thing in found.values())
    assert torch.nn.Sequential not in found.values()
