"""What else a network does on the pretend device: each backbone, evaluation, lessons, live training."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facelab.lessons.live import data as live_data
from facelab.lessons.live.session import Training
from facelab.lessons.live.teach import lesson_recipe
from facelab.models import checkpoint, device
from facelab.models.backbones import BACKBONES
from facelab.models.model import FaceModel, class_logits, embed_all
from facelab.recognition import embedder
from facelab.recognition.saliency import cosine_by_position
from facelab.training import distributed
from facelab.training.loop import train
from tests.pretend.check_training import RECIPE, crops
from tests.pretend.device import LOG
from tests.pretend.plugin import capability

SHAPES = {  # options of networks, each with a backbone that has the layers for it
    "flatten neck, frozen": {"neck": "flatten", "freeze": "stage2", "backbone": "alexnet_face"},
    "dropped blocks and branches": {"drop_block": 0.1, "stochastic_depth": 0.1, "backbone": "resnet_face"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(path of a checkpoint, the run's last progress), trained on the device."""
    *_, last = train(replace(RECIPE, batch_size=16), crops(side=112))
    path = tmp_path_factory.mktemp("pretend") / "there.safetensors"
    checkpoint.save(path, last.model, last.loss_fn, checkpoint.Header(RECIPE, 8, "noise"))
    return path, last


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_takes_a_step(name):
    recipe = replace(RECIPE, backbone=name, batch_size=2)
    progress = next(train(recipe, crops(2, 1, side=64 if name == "alexnet" else 32)))
    assert np.isfinite(progress.loss)
    assert {p.device.type for p in progress.model.parameters()} == {"cuda"}


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES)
def test_options_of_networks_take_a_step(fields):
    LOG.clear()
    assert np.isfinite(next(train(replace(RECIPE, **fields), crops(4, 2, side=112))).loss)


def test_a_network_embeds_on_the_device_as_on_a_cpu(trained):
    path, _ = trained
    host, loss_fn, _ = checkpoint.load(path)
    faces = crops(3, 2, side=112).crops
    here = embed_all(host, [faces])
    there = embed_all(host.to("cuda"), [faces])
    assert there == pytest.approx(here, rel=1e-4, abs=1e-5)
    assert class_logits(loss_fn.to("cuda"), here) == pytest.approx(
        class_logits(loss_fn.to("cpu"), here), abs=1e-5
    )


def test_crops_travel_as_bytes(trained):
    model = checkpoint.load(trained[0])[0].to("cuda")
    LOG.clear()
    embed_all(model, [crops(3, 2, side=112).crops])
    assert LOG.bytes == 6 * 112 * 112 * 3 and sum(LOG.waits.values()) == 2, LOG.waits


def test_saliency_splits_a_cosine_on_the_device(trained):
    model = checkpoint.load(trained[0])[0].to("cuda")
    with torch.inference_mode():
        x = torch.rand(2, 3, 112, 112, device="cuda") * 2 - 1
        terms = cosine_by_position(model, x[0], x[1])
        a, b = (model(torch.stack([face, face.flip(2)])).sum(0) for face in x)
        cosine = torch.nn.functional.cosine_similarity(a, b, dim=0)
    assert float(terms.sum()) == pytest.approx(float(cosine), abs=1e-5)


def test_an_embedder_is_loaded_onto_the_device(trained):
    face = embedder.as_face(crops(1, 1, side=112).crops[0])
    here, there = (embedder.load(str(trained[0]), device=torch.device(name)) for name in ("cpu", "cuda"))
    assert there.embed(None, [face]) == pytest.approx(here.embed(None, [face]), rel=1e-4, abs=1e-5)


def test_a_live_run_draws_the_faces_of_its_batch_and_no_others():
    pool = live_data.rendered(8, 8, 0)
    run = train(replace(RECIPE, batch_size=4, epochs=3), pool.data)
    next(run)
    run.close()
    assert pool.data.crops.drawn.sum() <= 12  # one batch, and what is read ahead


def test_a_live_run_in_its_thread_ends_with_a_checkpoint(tmp_path):
    recipe = replace(RECIPE, batch_size=8, held_out=0.25, held_out_images=0.25)
    pool = live_data.TrainingData(crops(side=112), "noise", 4)
    *_, end = Training(recipe, pool, 60.0, "visitor").follow()
    assert end.state == "finished", end.message
    path = tmp_path / "live.safetensors"
    path.write_bytes(end.result.content())
    assert checkpoint.load(path)[2].num_classes == 6
    assert {p.device.type for p in end.result.model.parameters()} == {"cuda"}


@pytest.mark.parametrize("upto", ["neck", "stage3", None])
def test_teaching_new_people_trains_on_the_device(upto, trained):
    pool = live_data.TrainingData(crops(2, 4, side=112), "noise", 4)
    recipe = lesson_recipe(str(trained[0]), upto, pool, 0)
    progress = next(train(replace(recipe, precision="fp32"), pool.data))
    assert np.isfinite(progress.loss) and progress.model.neck[-1].weight.device.type == "cuda"


def test_norms_of_several_gpus_are_pytorchs_own(monkeypatch):
    model = FaceModel("mobilenet_face", "pool", 16).to("cuda")
    before = {key: value.cpu().clone() for key, value in model.state_dict().items()}
    kept = {id(p) for p in model.parameters()}
    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", lambda module, devices: module)
    accelerator = SimpleNamespace(num_processes=2, device=torch.device("cuda", 0))
    distributed.distribute(model, accelerator)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms and all(type(norm) is torch.nn.SyncBatchNorm for norm in norms)
    assert {id(p) for p in model.parameters()} == kept  # the optimizer's
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in before.items()}


def test_devices_by_name():
    assert device.choose("auto") == device.choose("cuda") == torch.device("cuda", 0)
    assert device.choose("cpu").type == "cpu"
    assert device.described(torch.device("cuda", 0)) == "cuda:0 (Pretend)"
    with pytest.raises(ValueError, match="last GPU of this machine is cuda:0"):
        device.choose("cuda:1")
    with capability(6, 0):
        assert device.choose("auto").type == "cpu"
        assert "compute capability 6.0" in device.described(torch.device("cpu"))
        with pytest.raises(ValueError, match=r"needs 7\.5 or newer; give --device cpu"):
            device.choose("cuda")


def test_the_proof_for_a_card_runs(tmp_path, capsys):
    program = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
    proof = runpy.run_path(str(program))
    sections = [
        name for name in proof["SECTIONS"] if name != "processes"
    ]  # a process of its own has no device
    assert proof["main"](["--tiny", "--out", str(tmp_path), "--only", ",".join(sections)]) == 0
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["section"] for row in rows} == {
        "card",
        "loss",
        "resume",
        "page",
        "speed",
        "backbone",
        "memory",
    }
    assert sum(row["good"] is True for row in rows) > 15 and all(row["good"] is not False for row in rows)
    assert "0 of" in capsys.readouterr().out
