"""Logs of trainings: CSV, JSON lines and TensorBoard's event files, made by hand and by TensorBoard."""

import json
import struct

import numpy as np
import pytest

from facelab.data.formats.events import masked_crc, read_scalars
from facelab.data.run_logs import read_log


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def block(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(step: int, *values: bytes) -> bytes:
    return varint(2 << 3) + varint(step) + block(5, b"".join(block(1, value) for value in values))


def simple(tag: str, value: float) -> bytes:
    return block(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)


def tensor(tag: str, kind: int, content: bytes) -> bytes:
    return block(1, tag.encode()) + block(8, varint(1 << 3) + varint(kind) + block(4, content))


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def test_the_checksum_is_castagnolis():
    """RFC 3720, B.4: the CRC-32C of 32 zeros is 0x8A9136AA; TFRecord rotates and shifts it."""
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_scalars_are_read_from_both_kinds_of_value(tmp_path):
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(
        record(block(3, b"brain.Event:2"))
        + record(event(1, simple("loss", 2.5), tensor("acc", 1, struct.pack("<f", 0.25))))
        + record(event(300, simple("loss", 1.5), tensor("acc", 2, struct.pack("<d", 0.75))))
        + record(event(301, tensor("picture", 7, b"png"), tensor("many", 1, bytes(8))))
        + record(bytes(1 << 15))  # larger than any scalar: passed over
        + record(event(302, simple("loss", 0.5)))[:-3]  # still being written
    )
    found = read_scalars(path)
    assert found.series == {"loss": ([1, 300], [2.5, 1.5]), "acc": ([1, 300], [0.25, 0.75])}
    assert found.others == {"picture", "many"}
    assert read_log(tmp_path) == read_log(path) == found.series


def test_what_tensorboard_writes_is_read(tmp_path):
    board = pytest.importorskip("torch.utils.tensorboard")
    with board.SummaryWriter(str(tmp_path)) as writer:
        for step in range(40):
            writer.add_scalar("train/loss", 1 / (step + 1), step)
        writer.add_scalar("train/loss", float("nan"), 40)
        writer.add_scalar("new", 3.0, 7, new_style=True)
        writer.add_histogram("weights", np.arange(50.0), 1)
    found = read_log(tmp_path)
    assert set(found) == {"train/loss", "new"} and found["new"] == ([7], [3.0])
    steps, values = found["train/loss"]
    assert steps == list(range(41)) and np.isnan(values[-1])
    np.testing.assert_allclose(values[:-1], [1 / (step + 1) for step in range(40)], rtol=1e-6)


GOOD = record(event(1, simple("loss", 2.5)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (record(event(1, tensor("picture", 7, b"png"))), r"holds no scalar; picture are none; log the loss"),
        (record(block(3, b"brain.Event:2")), "holds no scalar; log the loss by add_scalar"),
        (GOOD[:20] + b"\x00" + GOOD[21:], "the checksum of an event does not match"),
        (GOOD + b"x" * 40, "is not an event file of TensorBoard, or is damaged"),
        (record(b"\x2a\xff\xff\xff\x7f"), "holds an event that is not an event of TensorBoard"),
        (record(b"\x2a" + b"\xff" * 12), "holds an event that is not an event of TensorBoard"),
        (record(event(1, block(1, b"\xff\xfe"))), "holds an event that is not an event of TensorBoard"),
        (record(event(1, block(2, b"ab"))), "holds an event that is not an event of TensorBoard"),
        (record(event(1, varint(8 << 3) + b"\x05")), "holds an event that is not an event of TensorBoard"),
    ],
)  # fmt: skip
def test_a_broken_event_file_gets_one_sentence(content, words, tmp_path):
    (tmp_path / "events").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_log(tmp_path / "events")


def test_tables_are_read_with_gaps_and_whatever_separates_them(tmp_path):
    text = "\ufeffepoch;loss;val_loss;note\r\n1;2,5;;a\r\n2;1.5;3;b\r\n3;nan;2;c\r\n"
    (tmp_path / "log.csv").write_text(text.replace("2,5", "2.5"), encoding="utf-8")
    found = read_log(tmp_path / "log.csv")
    assert found["val_loss"] == ([2, 3], [3, 2]) and set(found) == {"loss", "val_loss"}
    assert found["loss"][0] == [1, 2, 3] and np.isnan(found["loss"][1][2])
    rows = [{"epoch": 1, "loss": 2.0, "accuracy": None}, {"epoch": 2, "loss": 1.0, "accuracy": 0.5}]
    (tmp_path / "log.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    assert read_log(tmp_path / "log.jsonl") == {"loss": ([1, 2], [2, 1]), "accuracy": ([2], [0.5])}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "1,2\n3,4\n", "needs a first line of titles, each different"),
        ("a.csv", "loss,loss\n1,2\n", "needs a first line of titles, each different"),
        ("a.csv", "loss,acc\nx,y\n", "holds no figures below its titles loss, acc"),
        ("a.csv", "", "is empty"),
        ("a.jsonl", "\n\n", "a.jsonl is empty; log one row an epoch"),
        ("a.jsonl", '{"loss": 1}\n[2]\n', "line 2: it is not a JSON object"),
        ("a.jsonl", "[" * 100_000, "line 1: it is not a JSON object"),
        ("a.png", "x", "is not a log; give a .csv, a .jsonl or TensorBoard's event file"),
    ],
)  # fmt: skip
def test_what_is_no_log_gets_one_sentence(name, content, words, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        read_log(tmp_path / name)
    with pytest.raises(ValueError, match="does not exist; name a log"):
        read_log(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no event file"):
        read_log(tmp_path / "empty")
