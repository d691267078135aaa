"""Checkpoints: bit-exact, whole or not at all, readable by their header, and never a pickle."""

import json
import os
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from facelab.models import checkpoint
from facelab.models.checkpoint import FORMAT, Header, describe, load, save, update_header, with_metrics
from facelab.models.losses import build_loss
from facelab.models.model import build_model, embed
from facelab.models.recipe import Recipe
from tests.conftest import one_sentence


def header_of(path) -> dict:
    """The JSON that a .safetensors file begins with, read without the library."""
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))


def rewritten(path, source, tensors=None, **changes):
    """The checkpoint at `source` with other tensors or another header."""
    metadata = header_of(source)["__metadata__"] | changes
    save_file(load_file(source) if tensors is None else tensors, path, metadata=metadata)
    return path


def test_a_round_trip_is_bit_exact_up_to_half_precision_matrices(tiny_run, tiny_checkpoint):
    model, loss_fn, header = tiny_run
    loaded, loaded_loss, loaded_header = load(tiny_checkpoint)
    assert loaded_header.recipe == header.recipe and loaded_header.num_classes == 4
    assert loaded_header.data == "rendered faces" and loaded_header.metrics == {"held_out": {"eer": 0.25}}
    for before, after in ((model, loaded), (loss_fn, loaded_loss)):
        states = before.state_dict(), after.state_dict()
        assert list(states[0]) == list(states[1])
        for key, value in states[0].items():
            stored = value.half().float() if value.is_floating_point() and value.ndim > 1 else value
            assert torch.equal(stored, states[1][key]) and states[1][key].dtype == value.dtype, key
    assert not loaded.training and not loaded_loss.training


def test_saving_what_was_loaded_gives_the_same_weights_and_embeddings(tiny_checkpoint, tmp_path):
    model, loss_fn, header = load(tiny_checkpoint)
    save(tmp_path / "again.safetensors", model, loss_fn, header)
    before, after = load_file(tiny_checkpoint), load_file(tmp_path / "again.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)
    assert header_of(tmp_path / "again.safetensors") == header_of(tiny_checkpoint)
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    assert np.array_equal(embed(model, crops), embed(load(tmp_path / "again.safetensors")[0], crops))


def test_matrices_are_half_and_all_else_is_whole(tiny_checkpoint):
    for key, value in load_file(tiny_checkpoint).items():
        expected = torch.half if value.ndim > 1 else value.dtype
        assert value.dtype == expected
        assert value.dtype != torch.half or value.ndim > 1, key
    assert tiny_checkpoint.stat().st_mode & 0o444 == 0o444


def test_gains_and_scales_that_are_stored_as_maps_stay_whole(tmp_path):
    # ConvNeXt begins LayerScale at 1e-6, where the next fp16 number is 6 % away.
    recipe = Recipe(backbone="convnext_face", neck="pool", embedding_dim=16)
    model, loss_fn = build_model(recipe), build_loss("softmax", 16, 3, {})
    path = tmp_path / "a.safetensors"
    save(path, model, loss_fn, Header(recipe, 3, "nothing"))
    maps = {k: p for k, p in model.named_parameters() if p.ndim > 1 and p.numel() == max(p.shape)}
    loaded = dict(load(path)[0].named_parameters())
    assert maps and all(torch.equal(p, loaded[key]) for key, p in maps.items())
    older = {k: v.half() if v.ndim > 1 else v for k, v in load_file(path).items()}  # as files were before
    older = dict(load(rewritten(tmp_path / "old.safetensors", path, older))[0].named_parameters())
    assert all(torch.equal(older[key], p.half().float()) for key, p in maps.items())


def test_a_weight_too_large_for_half_precision_is_kept_whole(tiny_run, tmp_path):
    model, loss_fn, header = tiny_run
    weight = next(p for p in loss_fn.parameters() if p.ndim > 1)
    with torch.no_grad():
        weight[0, 0], old = 1e6, weight[0, 0].item()
    try:
        save(tmp_path / "a.safetensors", model, loss_fn, header)
    finally:
        with torch.no_grad():
            weight[0, 0] = old
    loaded = next(p for p in load(tmp_path / "a.safetensors")[1].parameters() if p.ndim > 1)
    assert loaded[0, 0] == 1e6


def test_the_header_holds_everything_and_is_read_without_the_weights(
    tiny_run, tiny_checkpoint, tmp_path, monkeypatch
):
    points = tiny_run[2].operating_points
    whole = tiny_checkpoint.read_bytes()
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("read weights"))
    header = describe(tiny_checkpoint)
    assert header.operating_points.source == points.source
    assert header.operating_points.threshold_for(0.01) == pytest.approx(points.threshold_for(0.01), rel=1e-5)
    length = struct.unpack("<Q", whole[:8])[0]
    garbled = tmp_path / "garbled.safetensors"
    garbled.write_bytes(whole[: 8 + length] + bytes(len(whole) - 8 - length))  # same header, no weights
    assert describe(garbled) == header


def test_headers_survive_json_with_and_without_points(tiny_run):
    header = tiny_run[2]
    once = Header.from_json(header.to_json())
    assert Header.from_json(once.to_json()) == once
    bare = replace(header, operating_points=None, metrics={})
    assert Header.from_json(bare.to_json()) == bare


def test_update_header_keeps_every_weight_bit_for_bit(tiny_checkpoint, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes())
    update_header(path, with_metrics(describe(path), "lfw", {"accuracy": 0.9}))
    assert describe(path).metrics == {"held_out": {"eer": 0.25}, "lfw": {"accuracy": 0.9}}
    before, after = load_file(tiny_checkpoint), load_file(path)
    assert before.keys() == after.keys()
    assert all(before[k].dtype == after[k].dtype and torch.equal(before[k], after[k]) for k in before)
    assert os.listdir(tmp_path) == ["a.safetensors"]


# Files that must be refused


def refused(path, *functions) -> str:
    messages = set()
    for function in functions or (describe, load):
        with pytest.raises(ValueError) as error:
            function(path)
        messages.add(str(error.value))
        assert one_sentence(str(error.value))
        assert path.name in str(error.value)
    return messages.pop()


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(keep, tiny_checkpoint, tmp_path):
    data = tiny_checkpoint.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    assert "not a complete .safetensors file" in refused(path)


def test_a_header_length_that_lies_is_refused(tiny_checkpoint, tmp_path):
    data = tiny_checkpoint.read_bytes()
    for length in (2**62, 2**31, 3):
        path = tmp_path / "lying.safetensors"
        path.write_bytes(struct.pack("<Q", length) + data[8:])
        refused(path)


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "opened"),)

    path = tmp_path / "bomb.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    refused(path)
    torch.save({"a": Bomb()}, path)
    refused(path)
    assert not (tmp_path / "opened").exists()


def test_a_foreign_file_is_refused_by_its_header(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    assert f"its header does not say {FORMAT}" in refused(path)
    save_file({"weight": torch.ones(2)}, path, metadata={"format": "pt"})
    assert "not a facelab checkpoint" in refused(path)
    save_file({"weight": torch.ones(2)}, path, metadata={"format": FORMAT})
    assert "damaged header" in refused(path)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda values: None,
        lambda values: [],
        lambda values: "text",
        lambda values: values | {"surprise": 1},
        lambda values: {k: v for k, v in values.items() if k != "num_classes"},
        lambda values: values | {"recipe": values["recipe"] | {"backdoor": 1}},
        lambda values: values | {"recipe": values["recipe"] | {"epochs": "many"}},
        lambda values: values | {"recipe": values["recipe"] | {"loss": "no_such_loss"}},
        lambda values: values | {"recipe": []},
        lambda values: values | {"operating_points": {"eer": 1}},
        lambda values: values | {"operating_points": list(values["operating_points"])},
    ],
)
def test_a_tampered_header_is_refused(tamper, tiny_checkpoint, tmp_path):
    values = json.loads(header_of(tiny_checkpoint)["__metadata__"]["facelab"])
    path = rewritten(tmp_path / "t.safetensors", tiny_checkpoint, facelab=json.dumps(tamper(values)))
    assert "damaged header" in refused(path)


def test_headers_that_are_no_json_or_too_deep_are_refused(tiny_checkpoint, tmp_path):
    for text in ("", "{", "[" * 100_000):
        refused(rewritten(tmp_path / "t.safetensors", tiny_checkpoint, facelab=text))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_classes": 9}, "does not fit its own recipe"),
        ({"num_classes": -1}, "num_classes is -1; it must be 1 to"),
        ({"num_classes": "four"}, "num_classes is 'four'; it must be 1 to"),
        ({"recipe": {"embedding_dim": 8}}, "does not fit its own recipe"),
        ({"recipe": {"backbone": "resnet81"}}, "did you mean resnet18"),
        ({"recipe": {"neck": "tie"}}, "unknown neck"),
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_the_weights_is_refused(change, words, tiny_checkpoint, tmp_path):
    values = json.loads(header_of(tiny_checkpoint)["__metadata__"]["facelab"])
    values |= change | ({"recipe": values["recipe"] | change["recipe"]} if "recipe" in change else {})
    path = rewritten(tmp_path / "t.safetensors", tiny_checkpoint, facelab=json.dumps(values))
    assert words in refused(path, load)


def test_missing_unknown_misshapen_and_unfinished_weights_are_refused(tiny_checkpoint, tmp_path):
    tensors = load_file(tiny_checkpoint)
    first = next(key for key in tensors if key.startswith("model.") and tensors[key].ndim > 1)
    changes = {
        "does not fit its own recipe": {k: v for k, v in tensors.items() if k != first},
        "unknown key 'model.backdoor'": tensors | {"model.backdoor": torch.ones(2)},
        "unknown key 'backdoor.weight'": tensors | {"backdoor.weight": torch.ones(2)},
        "its recipe needs F32 or F16 or BF16": tensors | {first: tensors[first][:1].clone()},
        f"NaN or infinity in {first}": tensors | {first: torch.full_like(tensors[first], float("nan"))},
    }
    for words, changed in changes.items():
        path = rewritten(tmp_path / "t.safetensors", tiny_checkpoint, changed)
        assert words in refused(path, *([load] if "NaN" in words else []))


def test_a_missing_file_is_answered_with_what_lists_them(tmp_path):
    for path in (tmp_path / "missing.safetensors", tmp_path):
        assert "`python -m facelab models` lists the checkpoints" in refused(path)


# Writing


def test_a_full_disk_leaves_the_old_file_and_no_part(tiny_run, tiny_checkpoint, tmp_path):
    """A limit on file size stands for the full disk: the write fails in the middle, as it would there."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of a file")
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"the old one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (tiny_checkpoint.stat().st_size // 2, hard))
    try:
        with pytest.raises(OSError) as error:
            save(path, *tiny_run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "a.safetensors" in str(error.value) and one_sentence(str(error.value), tmp_path)
    assert path.read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_write_that_fails_late_leaves_the_old_file_and_no_part(stage, tiny_run, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"the old one")

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, stage, fail)
    with pytest.raises(KeyboardInterrupt):
        save(path, *tiny_run)
    assert path.read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_a_folder_that_is_missing_is_made_and_a_file_in_its_place_is_an_error(tiny_run, tmp_path):
    save(tmp_path / "new" / "deep" / "a.safetensors", *tiny_run)
    assert describe(tmp_path / "new" / "deep" / "a.safetensors").num_classes == 4
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError):
        save(tmp_path / "file" / "a.safetensors", *tiny_run)


def test_the_shipped_checkpoints_rebuild_themselves_and_are_small():
    from facelab.models.zoo import CHECKPOINTS

    files = list(CHECKPOINTS.glob("*.safetensors"))
    assert files
    for path in files:
        assert path.stat().st_size < 10_000_000
        model, _, header = load(path)
        assert header.operating_points is not None and header.data
        embedding = embed(model, np.zeros((1, 112, 112, 3), np.uint8))
        assert embedding.shape == (1, header.recipe.embedding_dim) and np.isfinite(embedding).all()
