"""Dropping and augmenting, in numbers and on the Regularization tab: rates, what neighbors tell, equal
draws."""

import json
import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch

from facelab.lessons import dropout_masks
from facelab.lessons.augmentations import KINDS, OFF, TOGETHER, variants
from facelab.lessons.dropout_masks import drop, effects, neighbor_r2
from facelab.models import checkpoint, zoo
from facelab.models.regularizers import seed_rate
from facelab.plots.regularization import realized_rates
from facelab.recognition.feature_maps import StageMaps
from facelab.training.augment import DRAWS, augment
from facelab.ui.regularization import augmentation as regularization_augment
from facelab.ui.regularization import cards as regularization_cards
from facelab.ui.regularization import tab as regularization
from facelab.ui.widgets.chart import Chart

CROP = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
SMOOTH = np.stack([np.add.outer(np.sin(np.arange(14) / k), np.cos(np.arange(14) / 3)) for k in (2, 3, 4, 5)])
SMOOTH = SMOOTH.astype(np.float32)


@pytest.fixture
def stages(monkeypatch):
    noise = np.random.default_rng(1).normal(size=(8, 7, 7)).astype(np.float32)
    here = {"stage1": StageMaps("stage1", SMOOTH, 9), "stage2": StageMaps("stage2", noise, 19)}
    regularization.alike_card.cache_clear()
    monkeypatch.setattr(regularization, "example_stages", lambda: here)
    monkeypatch.setattr(regularization, "checkpoint_names", lambda: ["any"])
    monkeypatch.setattr(regularization_augment, "example_crop", lambda: CROP)
    yield here
    regularization.alike_card.cache_clear()


@pytest.mark.parametrize(("rate", "block"), [(0.1, 3), (0.3, 5), (0.5, 14)])
def test_each_kind_hides_the_share_it_is_asked_for(rate, block):
    for found in drop(SMOOTH, rate, block, seed=0, draws=400).values():
        error = float(found.shares.std()) / 400**0.5
        assert found.shares.mean() == pytest.approx(rate, abs=4 * error) and error > 0
        assert (
            found.shares[0] == pytest.approx(1 - found.keep_mask.mean())
            and found.keep_mask.shape == SMOOTH.shape
        )


def test_the_kinds_hide_values_channels_and_squares():
    found = drop(np.tile(SMOOTH, (8, 1, 1)), 0.4, 4, seed=3)
    per_channel = found["SpatialDropout"].keep_mask.mean((1, 2))
    assert set(per_channel) == {0.0, 1.0}
    hidden = ~found["DropBlock"].keep_mask
    windows = np.lib.stride_tricks.sliding_window_view(hidden, (4, 4), (1, 2)).all((3, 4))
    covered = np.zeros_like(hidden)
    for c, y, x in np.argwhere(windows):
        covered[c, y : y + 4, x : x + 4] = True
    assert hidden.any() and np.array_equal(covered, hidden)
    spread = {name: kind.shares.std() for name, kind in found.items()}
    assert spread["Dropout"] < spread["DropBlock"] < spread["SpatialDropout"]


def test_a_seed_is_a_draw():
    first, again, other = (drop(SMOOTH, 0.3, 3, seed)["Dropout"].keep_mask for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_nothing_dropped_tells_nothing():
    for found in drop(SMOOTH, 0.0, 3, seed=0).values():
        assert found.keep_mask.all() and not found.shares.any() and np.isnan(found.told)


def by_hand(maps, keep_mask):
    """`neighbor_r2` of one draw in loops."""
    error = spread = 0.0
    for c, y, x in np.argwhere(~keep_mask):
        window = np.s_[c, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        for room in (window, np.s_[c], np.s_[:]):  # neighbors, else the channel, else all
            if keep_mask[room].any():
                guess = maps[room][keep_mask[room]].mean()
                break
        error += (guess - maps[c, y, x]) ** 2
        spread += (maps[c].mean() - maps[c, y, x]) ** 2
    return max(0.0, 1 - error / spread)


@pytest.mark.parametrize("kind", ["Dropout", "SpatialDropout", "DropBlock"])
def test_what_neighbors_tell_is_counted_as_by_hand(kind):
    keep_mask = drop(SMOOTH, 0.5, 5, seed=4)[kind].keep_mask
    told = neighbor_r2(torch.from_numpy(SMOOTH), torch.from_numpy(keep_mask)[None])
    assert told == pytest.approx(by_hand(SMOOTH, keep_mask), abs=1e-4)


def test_a_value_on_a_slope_is_given_away_and_a_hidden_channel_is_not():
    slope = torch.arange(25.0).view(1, 5, 5)
    keep_mask = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    keep_mask[0, 0, 1, 3] = False
    assert neighbor_r2(slope, keep_mask) == pytest.approx(1.0)
    two = torch.cat([slope, -slope])
    keep_mask = torch.tensor([True, False]).view(1, 2, 1, 1).expand(1, 2, 5, 5)
    assert neighbor_r2(two, keep_mask) == 0.0


def test_larger_blocks_leave_less_to_the_neighbors():
    told = [drop(SMOOTH, 0.2, block, seed=0)["DropBlock"].told for block in (1, 3, 7)]
    assert told[0] > told[1] > told[2] and told[0] == pytest.approx(
        drop(SMOOTH, 0.2, 1, seed=0)["Dropout"].told, abs=0.02
    )


def test_a_rate_out_of_range_is_refused():
    with pytest.raises(ValueError, match="rate is 1"):
        drop(SMOOTH, 1.0, 3, seed=0)


def test_effects_are_the_headers_and_say_what_is_missing(tiny_run, tmp_path, monkeypatch):
    model, loss_fn, header = tiny_run
    header = replace(
        header, metrics={"held_out": {"top_1": 0.61, "ece": 0.05}, "lfw_view2": {"accuracy": 0.9}}
    )
    checkpoint.save(tmp_path / "drop_block.safetensors", model, loss_fn, header)
    monkeypatch.setattr(zoo, "CHECKPOINTS", tmp_path)
    rows = {row.name: row for row in effects()}
    assert list(rows) == list(dropout_masks.ROWS) and [row.measured for row in rows.values()].count(True) == 1
    found = rows["drop_block"]
    assert (found.top_1, found.ece, found.eer, found.lfw) == (0.61, 0.05, None, 0.9)
    assert rows["softmax"].change == "" and found.change == "drop_block 0.1"
    assert rows["dropout_maps"].change == "drop_block 0.1, drop_block_size 1"
    card = regularization_cards.effects_card(list(rows.values()))
    assert re.findall("<td>(.*?)</td>", card) == ["drop_block 0.1", "61.0%", "5.0%", "–", "90.0%"]
    assert "python -m facelab train softmax" in card and card.count("<code>") == 6


def test_the_card_prints_what_was_hidden(stages):
    card, figure, _, said = regularization.show("stage1", 0.3, 3, 5)
    exact = seed_rate(0.3, (3, 3), stages["stage1"].maps.shape[1:])
    assert said.startswith("$$") and rf"\gamma &= {exact:.4f}" in said
    shown = SMOOTH[np.argsort(-SMOOTH.std((1, 2)), kind="stable")]
    for trace, (name, found) in zip(json.loads(figure)["data"], drop(shown, 0.3, 3, 5).items()):
        assert f"{found.shares[0]:.1%}" in card and f"{found.shares.mean():.1%}" in card
        assert f"explained by neighbors (R²) <b>{found.told:.0%}</b>" in card and trace["name"] == name
        assert trace["x"] == pytest.approx((100 * found.shares).round(2).tolist(), abs=0.011)
    assert card.count("fl-sheet") == 4
    assert json.loads(realized_rates(drop(shown, 0.3, 3, 5), 0.3))["layout"]["shapes"][0]["x0"] == 30


def test_another_draw_keeps_the_settings(stages):
    seed, *shown = regularization.on_draw("stage2", 0.2, 3, 7)
    assert seed == 8 and shown == regularization.show("stage2", 0.2, 3, 8)
    assert shown[0] != regularization.show("stage2", 0.2, 3, 7)[0]


def test_variants_are_those_that_train_and_share_their_draw():
    strengths = dict(zip(KINDS, (True, 20.0, 0.2, 0.1, 0.4, 0.5, 0.5, 0.5)))
    rows = variants(CROP, strengths, 6, seed=2)
    assert list(rows) == [*KINDS, TOGETHER]
    draw = torch.rand(DRAWS, 6, generator=torch.Generator().manual_seed(2))
    trained = augment(torch.from_numpy(np.stack([CROP] * 6)), replace(OFF, **strengths), draw)
    assert np.abs(rows[TOGETHER].transpose(0, 3, 1, 2) / 127.5 - 1 - trained.numpy()).max() < 0.005
    mirrored = [np.array_equal(variant, CROP[:, ::-1]) for variant in rows["flip"]]
    assert mirrored == (draw[2] < 0.5).tolist() and 0 < sum(mirrored) < 6
    gray = [bool((variant == variant[..., :1]).all()) for variant in rows["gray"]]
    assert gray == (draw[5] < 0.5).tolist()


def test_no_strength_changes_nothing():
    rows = variants(CROP, dict.fromkeys(KINDS, 0) | {"flip": False}, 3, seed=0)
    for row in rows.values():
        assert row.shape == (3, 112, 112, 3) and np.abs(row.astype(int) - CROP).max() <= 1


def test_an_unknown_augmentation_is_named():
    with pytest.raises(ValueError, match="unknown augmentation 'blur'; legal: flip"):
        variants(CROP, {"blur": 1.0}, 2, seed=0)


def test_a_strength_changes_its_row_and_the_last():
    strengths = [True, 10, 0.1, 0.06, 0.3, 0.3, 0.2, 0.4]
    before, after = (
        regularization_augment.show(CROP, 0, *strengths[:1], turn, *strengths[2:]) for turn in (10, 40)
    )
    a, b = (re.findall(r'alt="4 variants: ([^"]*)" src="([^"]+)"', card) for card in (before, after))
    differ = [name for (name, old), (_, new) in zip(a, b) if old != new]
    assert len(a) == 9 and differ == ["rotate", TOGETHER]


def test_a_bad_photo_gets_one_sentence_and_changes_nothing(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    crop, card = regularization_augment.on_photo(str(bad), 0, True, 10, 0.1, 0.06, 0.3, 0.3, 0.2, 0.4)
    assert crop == gr.skip() and "fl-problem" in card and str(tmp_path) not in card


def test_the_tab_opens_finished_and_hides_its_events(stages):
    with gr.Blocks() as app:
        controls = regularization.build()
    assert list(controls) == ["stage", "rate", "block", *KINDS]
    assert all(fn.api_visibility == "private" for fn in app.fns.values())
    charts = [block for block in app.blocks.values() if isinstance(block, Chart)]
    assert len(charts) == 1 and charts[0].value
    for control in controls.values():
        assert control.info and control.label


def test_without_a_checkpoint_the_tab_says_how_to_get_one(monkeypatch, stages):
    monkeypatch.setattr(regularization, "checkpoint_names", list)
    with gr.Blocks() as app:
        assert list(regularization.build()) == list(KINDS)
    assert any("no feature map to drop from" in str(getattr(b, "value", "")) for b in app.blocks.values())
