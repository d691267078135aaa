"""What a checkpoint's header claims is judged before anything is built or allocated."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from facelab.metrics.operating import OperatingPoints
from facelab.models import checkpoint
from facelab.models.checkpoint import describe, load
from facelab.models.claims import MAX_CLASSES, MAX_HEADER, SIZES, expected_tensors, read_claims
from facelab.models.losses import LOSSES
from facelab.models.recipe import Recipe
from facelab.recognition import embedder
from tests.conftest import one_sentence

ROOT = Path(__file__).parents[2]


def raw(path, header, data=b""):
    """A file whose header is exactly this."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def values_of(path):
    return json.loads(read_claims(path).metadata["facelab"])


def with_values(path, source, values):
    save_file(load_file(source), path, metadata={"format": checkpoint.FORMAT, "facelab": json.dumps(values)})
    return path


def refusal(path):
    """The sentence with which both readers refuse a file."""
    said = set()
    for read in (describe, load):
        with pytest.raises(ValueError) as error:
            read(path)
        said.add(str(error.value))
    assert len(said) == 1 and one_sentence(*said) and path.name in str(said)
    return said.pop()


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b"", b""), (b"[]", b""), (b"{", b""), (b"[" * 9000, b""), (b'{"a": 1e999}', b""), (b"\xff\xfe", b""),
        ({"a": None}, b""), ({"a": []}, b""), ({"a": ENTRY | {"extra": 1}}, b"x" * 8), ({"a": {}}, b""),
        ({"a": ENTRY}, b""), ({"a": ENTRY}, b"x" * 9), ({"a": ENTRY | {"dtype": "F7"}}, b"x" * 8),
        ({"a": ENTRY | {"dtype": ["F32"]}}, b"x" * 8), ({"a": ENTRY | {"shape": [3]}}, b"x" * 8),
        ({"a": ENTRY | {"shape": [-2]}}, b"x" * 8), ({"a": ENTRY | {"shape": "2"}}, b"x" * 8),
        ({"a": ENTRY | {"shape": [2.0]}}, b"x" * 8), ({"a": ENTRY | {"shape": [True, 2]}}, b"x" * 8),
        ({"a": ENTRY | {"shape": [1] * 9}}, b"x" * 4), ({"a": ENTRY | {"shape": [2**62]}}, b"x" * 8),
        ({"a": ENTRY | {"data_offsets": [0, 4, 8]}}, b"x" * 8),
        ({"a": ENTRY | {"data_offsets": [8, 0]}}, b"x" * 8),
        ({"a": ENTRY, "b": ENTRY}, b"x" * 8), ({"a": ENTRY | {"data_offsets": [1, 9]}}, b"x" * 9),
        ({"__metadata__": []}, b""), ({"__metadata__": {"format": 1}}, b""),
    ],
)  # fmt: skip
def test_a_header_that_does_not_describe_its_file_is_refused(header, data, tmp_path):
    path = raw(tmp_path / "t.safetensors", header, data)
    assert "is not a complete .safetensors file" in refusal(path)
    with pytest.raises(ValueError, match="not a complete"):
        checkpoint.read(path)


def test_our_reading_of_a_header_is_the_one_of_the_library(tmp_path):
    kinds = {"F32": torch.float32, "F16": torch.half, "BF16": torch.bfloat16, "I64": torch.int64,
             "U8": torch.uint8, "BOOL": torch.bool, "F64": torch.double, "I16": torch.int16}  # fmt: skip
    tensors = {name: torch.ones(i, 3).to(kind) for i, (name, kind) in enumerate(kinds.items())}
    tensors["scalar"] = torch.tensor(5)
    save_file(tensors, tmp_path / "t.safetensors", metadata={"a": "b"})
    claims = read_claims(tmp_path / "t.safetensors")
    assert claims.metadata == {"a": "b"}
    assert {name: shape for name, (_, shape) in claims.tensors.items()} == {
        name: tuple(tensor.shape) for name, tensor in tensors.items()
    }
    for name, kind in kinds.items():
        assert claims.tensors[name][0] == name and SIZES[name] == torch.empty(0, dtype=kind).element_size()


def test_a_header_has_a_limit(tmp_path):
    path = raw(tmp_path / "t.safetensors", b" " * (MAX_HEADER + 1))
    assert "header is longer than allowed" in refusal(path)


WRONG = [
    {"num_classes": "4"}, {"num_classes": 4.0}, {"num_classes": True}, {"num_classes": 0},
    {"num_classes": None},
    {"num_classes": MAX_CLASSES + 1}, {"num_classes": 10**30}, {"num_classes": [4]}, {"num_classes": 5},
    {"data": 5}, {"data": None}, {"data": ["x"]}, {"data": "x" * 10_001},
    {"metrics": [1]}, {"metrics": None}, {"metrics": "x"}, {"metrics": {"lfw": 1}}, {"metrics": {"lfw": [1]}},
    {"metrics": {"lfw": {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}}},
    {"identities": 5}, {"identities": "abcd"}, {"identities": [1, 2, 3, 4]}, {"identities": ["a", "b"]},
    {"identities": ["x"] * 5}, {"identities": {"a": 1}}, {"identities": ["x" * 10_001, "b", "c", "d"]},
    {"operating_points": 5}, {"operating_points": []}, {"operating_points": False}, {"operating_points": {}},
    {"extra": 1},
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG, ids=lambda change: json.dumps(change)[:60])
def test_a_value_of_a_wrong_kind_is_refused_in_a_sentence(change, tiny_checkpoint, tmp_path):
    values = values_of(tiny_checkpoint)
    assert values["num_classes"] == 4
    refusal(with_values(tmp_path / "t.safetensors", tiny_checkpoint, values | change))


@pytest.mark.parametrize(
    "change",
    [
        {"embedding_dim": 60_000}, {"embedding_dim": 8193}, {"embedding_dim": 33}, {"embedding_dim": 32.0},
        {"embedding_dim": "32"}, {"embedding_dim": None}, {"embedding_dim": 10**30}, {"embedding_dim": True},
        {"backbone": "nfnet_f0"}, {"backbone": ["resnet18"]}, {"backbone": {}}, {"loss": []},
        {"loss": "arcface"},
        {"epochs": 10**12}, {"batch_size": 10**12}, {"drop_block_size": 10**9}, {"lr": float("nan")},
        {"margin": float("inf")}, {"scale": float("nan")}, {"weight_decay": -1.0}, {"neck": "flatten"},
        {"drop_block": 2}, {"milestones": 5}, {"milestones": ["x"]}, {"milestones": None}, {"flip": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_recipe_that_is_not_the_files_own_is_refused(change, tiny_checkpoint, tmp_path):
    values = values_of(tiny_checkpoint)
    values["recipe"] |= change
    refusal(with_values(tmp_path / "t.safetensors", tiny_checkpoint, values))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, torch.uint8, torch.complex64, torch.bool])
def test_a_tensor_of_another_type_is_refused(dtype, tiny_checkpoint, tmp_path):
    tensors = load_file(tiny_checkpoint)
    for name in (next(iter(tensors)), next(name for name in tensors if name.endswith("num_batches_tracked"))):
        changed = tensors | {name: tensors[name].to(dtype)}
        metadata = read_claims(tiny_checkpoint).metadata
        save_file(changed, tmp_path / "t.safetensors", metadata=metadata)
        assert f"{name} is " in refusal(tmp_path / "t.safetensors")


def test_what_is_expected_is_what_is_saved(tmp_path):
    """Every loss; the networks' own tests know their shapes."""
    for loss in (*LOSSES, "softmax+triplet"):
        recipe = Recipe(backbone="resnet_face", loss=loss, embedding_dim=32)
        model = checkpoint.build_model(recipe)
        loss_fn = checkpoint.build_loss(loss, 32, 7, recipe.loss_options())
        path = tmp_path / "t.safetensors"
        checkpoint.save(path, model, loss_fn, checkpoint.Header(recipe, 7, "nobody"))
        claims = read_claims(path)
        wanted = expected_tensors(recipe, 7)
        assert {name: shape for name, (_, shape) in claims.tensors.items()} == {
            name: shape for name, (_, shape) in wanted.items()
        }
        assert all(dtype in wanted[name][0] for name, (dtype, _) in claims.tensors.items())


CHILD = """
import sys
from facelab.models import checkpoint
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
checkpoint.load(sys.argv[1])
before = peak()
for path in sys.argv[2:]:
    try:
        checkpoint.load(path)
    except ValueError as error:
        print(error)
print((peak() - before) // 1024)
"""


def costly(folder, honest):
    """Small files that claim much: (name, path)."""
    values = values_of(honest)
    for name, change, recipe in (
        ("classes", {"num_classes": MAX_CLASSES, "identities": []}, {}),
        ("dim", {}, {"embedding_dim": 8192}),
        ("network", {}, {"backbone": "nfnet_f0", "embedding_dim": 8192}),
        ("labels", {"num_classes": 20_000, "identities": []}, {"loss": "online_label_smoothing"}),
    ):
        changed = values | change | {"recipe": values["recipe"] | recipe}
        yield with_values(folder / f"{name}.safetensors", honest, changed)
    nested = {"format": checkpoint.FORMAT, "facelab": "[" + ",".join(["[]"] * (MAX_HEADER // 4)) + "]"}
    yield raw(folder / "nested.safetensors", {"__metadata__": nested})
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    entries = {f"{i:x}": empty for i in range(MAX_HEADER // 70)}
    yield raw(folder / "entries.safetensors", entries)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory needs Linux's /proc")
def test_small_files_that_claim_much_cost_little(tiny_checkpoint, tmp_path):
    paths = [str(path) for path in costly(tmp_path, tiny_checkpoint)]
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(tiny_checkpoint), *paths],
        capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    *said, grown = run.stdout.splitlines()
    assert len(said) == len(paths) and int(grown) < 300, run.stdout


def test_the_cache_keeps_shipped_networks_only(tiny_checkpoint):
    embedder._kept.cache_clear()
    for _ in range(2):
        assert embedder.load(str(tiny_checkpoint)).name == str(tiny_checkpoint)
    assert embedder._kept.cache_info().currsize == 0
    assert embedder.load("resnet_softmax") is embedder.load("resnet_softmax")


@pytest.mark.parametrize(
    "change",
    [
        {"source": 5}, {"source": None}, {"genuine_pairs": 1.5}, {"genuine_pairs": -1},
        {"impostor_pairs": "9"},
        {"eer": None}, {"eer": "0.1"}, {"eer": float("nan")}, {"eer": 2.0}, {"slope": float("inf")},
        {"slope": True},
        {"intercept": [1]}, {"far": 0.1}, {"far": []}, {"far": ["a"]}, {"far": [0.1, None]}, {"far": [[0.1]]},
        {"threshold": [float("nan")]}, {"threshold": None}, {"threshold": [0.1]}, {"frr": [0.2, "x"]},
        {"edges": [0.0]}, {"edges": [1.0, 0.5, 0.0]}, {"genuine": [0.5]}, {"genuine": [2.0, -1.0]},
        {"far": [0.01, 0.1]}, {"far": [0.1, 0.1]}, {"far": [0.1, 0.0]}, {"threshold": [0.5, 0.2]},
        {"frr": [0.5, 0.2]}, {"eer_threshold": 10**400},
    ],
    ids=lambda change: repr(change)[:50],
)  # fmt: skip
def test_operating_points_of_a_wrong_kind_are_refused(change):
    good = {
        "source": "nobody", "genuine_pairs": 10, "impostor_pairs": 1000, "eer": 0.1, "eer_threshold": 0,
        "far": [0.1, 0.01], "threshold": [0.3, 0.5], "frr": [0.1, 0.3], "edges": [-1, 0.0, 1.0],
        "genuine": [0, 1], "impostor": [0.5, 0.5], "slope": 5.0, "intercept": -1,
    }  # fmt: skip
    assert OperatingPoints.from_dict(good).threshold_for(0.01) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="operating points") as error:
        OperatingPoints.from_dict(good | change)
    assert one_sentence(str(error.value))
