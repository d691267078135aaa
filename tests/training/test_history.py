"""A run's history: rows of means, equal for a run that was stopped and resumed, and bounded in a header."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from facelab.data.folders import CropSet
from facelab.models import checkpoint
from facelab.models.checkpoint import Header
from facelab.training import resume
from facelab.training.history import ROWS, History
from facelab.training.loop import train
from tests.conftest import TINY


def test_rows_hold_means_and_the_last_of_what_is_no_mean():
    history = History()
    for step in range(1, 251):  # three steps a row
        history.add({"loss": float(step), "accuracy": math.nan if step % 2 else 1.0})
        history.end_step(step, 250, {"lr": 1 / step})
    assert [row["step"] for row in history.rows] == [*range(3, 250, 3), 250] and len(history.rows) <= ROWS
    assert history.rows[0] == {"step": 3, "lr": 0.333333, "loss": 2.0, "accuracy": 1.0}
    history.add({"loss": 7.0})
    assert history.so_far()[-1] == {"loss": 7.0} and len(history.rows) == 84


def test_a_resumed_run_has_the_same_history(tmp_path):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (16, 112, 112, 3), np.uint8)
    data = CropSet(crops, np.repeat(np.arange(4), 4), tuple("abcd"), tuple(map(str, range(16))))
    recipe = replace(TINY, backbone="alexnet_face", epochs=3, batch_size=8)
    whole = [*train(recipe, data)][-1].run.history.so_far()
    state = tmp_path / "x.run.safetensors"
    for progress in train(recipe, data):
        if progress.step == 3:
            resume.save(state, progress.run)
            break
    assert [*train(recipe, data, state)][-1].run.history.so_far() == whole
    assert [row["step"] for row in whole] == [1, 2, 3, 4, 5, 6] and all(row["norm"] > 0 for row in whole)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ("rows", "the history is 'rows'; it must be a list"),
        ([{}] * 1001, "it must be a list of at most 1,000 rows"),
        ([{"loss": "2"}], "a row of the history is"),
        ([{"loss": math.nan}], "it must be a table of finite numbers"),
        ([{"loss": True}], "it must be a table of finite numbers"),
        ([{str(i): 1 for i in range(101)}], "it must be a table of finite numbers"),
        ([[1]], "a row of the history is"),
    ],
)
def test_a_header_that_lies_about_its_history_is_refused(history, words):
    values = json.loads(Header(TINY, 4, "nobody", history=({"step": 1, "loss": 2.5},)).to_json())
    assert Header.from_json(json.dumps(values)).history == ({"step": 1, "loss": 2.5},)
    with pytest.raises(ValueError, match=words):
        Header.from_json(json.dumps(values | {"history": history}))
    del values["history"]  # as in the files of earlier versions
    assert Header.from_json(json.dumps(values)).history == ()


def test_a_checkpoint_keeps_its_history(tiny_run, tmp_path):
    model, loss_fn, header = tiny_run
    rows = tuple({"step": step, "loss": 1 / step} for step in range(1, 101))
    checkpoint.save(tmp_path / "a.safetensors", model, loss_fn, replace(header, history=rows))
    assert checkpoint.load(tmp_path / "a.safetensors")[2].history == rows
