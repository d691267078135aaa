"""What was trained and measured: headers of checkpoints, and of runs without weights."""

from dataclasses import replace

import pytest

from facelab.cli.main import main
from facelab.evaluation import results as measured
from facelab.models import checkpoint, zoo
from facelab.models.recipes import RECIPES


@pytest.fixture
def folder(tiny_run, tmp_path, monkeypatch):
    """A folder of checkpoints with `arcface` in it; and `center` lies elsewhere."""
    model, loss_fn, header = tiny_run
    (tmp_path / "checkpoints").mkdir()
    for path in ("checkpoints/arcface", "center"):
        checkpoint.save(tmp_path / f"{path}.safetensors", model, loss_fn, header)
    monkeypatch.setattr(zoo, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path


def test_kept_figures_stand_among_the_checkpoints(folder, capsys):
    assert main(["models", "--keep", str(folder / "center.safetensors")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith(("arc", "cent"))] == [
        ["center", "*"],
        ["arcface", "resnet_face"],
    ]
    assert measured.names() == ["center", "arcface"] and zoo.checkpoint_names() == ["arcface"]
    kept, whole = measured.headers()["center"], checkpoint.describe(folder / "center.safetensors")
    assert kept == replace(whole, operating_points=None, identities=())
    assert [path.name for path in folder.glob("checkpoints/measured/*")] == ["center.json"]


def test_weights_go_before_kept_figures(folder, tiny_run):
    measured.keep(folder / "center.safetensors")
    model, loss_fn, header = tiny_run
    checkpoint.save(
        folder / "checkpoints" / "center.safetensors", model, loss_fn, replace(header, data="new")
    )
    assert measured.header("center").data == "new" and measured.names() == ["center", "arcface"]


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", '{"recipe": {}}', '{"operating_points": null, "recipe": {"epohcs": 1}}']
)
def test_damaged_figures_get_one_sentence_and_hide_nothing(folder, capsys, text):
    file = measured.keep(folder / "center.safetensors")
    file.write_text(text)
    with pytest.raises(ValueError, match=r"center\.json is not the header of a run"):
        measured.header("center")
    assert main(["models"]) == 0
    said = capsys.readouterr()
    assert "arcface" in said.out and said.err.count("\n") == 1


def test_trainings_are_equal_that_differ_in_network_and_optimizer():
    equal = [name for name, recipe in RECIPES.items() if measured.is_equal_training(recipe)]
    assert len(equal) == len({RECIPES[name].backbone for name in equal}) == 12
    assert all(RECIPES[name].backbone == f"{name}_face" for name in equal)
