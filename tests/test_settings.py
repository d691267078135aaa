"""What is set from outside: one table, one place that reads it, and a sentence for each wrong value."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facelab import settings
from facelab.lessons.live.settings import HERE, HOSTED, LENT, limits, require_training
from facelab.models import zoo

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in (*settings.SETTINGS, "SPACE_ID", "SPACES_ZERO_GPU"):
        monkeypatch.delenv(name, raising=False)


def test_no_other_module_reads_the_environment():
    naming = {
        path.relative_to(ROOT).as_posix()
        for path in [ROOT / "app.py", *(ROOT / "facelab").rglob("*.py")]
        if re.search(r"os\.environ(?!\[.*\] = )|getenv", path.read_text())  # to set gradio's is not to read
    }
    assert naming == {"facelab/settings/__init__.py"}


def test_the_table_in_the_documents_is_the_one_of_the_code():
    assert settings.table() in (ROOT / "docs/hosting.md").read_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("FACELAB_HOSTED", "maybe", "it must be on or off"),
        ("FACELAB_TRAINING", "sometimes", "it must be on or off"),
        ("FACELAB_MAX_UPLOAD_MB", "0", "from 1 to 1024"),
        ("FACELAB_MAX_UPLOAD_MB", "nan", "a number of megabytes"),
        ("FACELAB_CHECKPOINTS", "/nowhere/at/all", "a folder that exists"),
        ("FACELAB_HUB", "me", "owner/name"),
        ("FACELAB_CACHE_GB", "-1", "a number of gigabytes"),
        ("PORT", "", "from 1 to 65535"),
    ],
)
def test_a_wrong_value_is_one_sentence(name, text, words, monkeypatch):
    settings.check()
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=words) as error:
        settings.check()
    assert str(error.value).startswith(f"{name} is {text!r}; ")


def test_a_wrong_value_ends_the_server_at_its_start():
    environment = os.environ | {"FACELAB_TRAINING": "never", "PORT": "0"}
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "facelab: FACELAB_TRAINING is 'never'; it must be on or off\n"


@pytest.mark.parametrize(
    ("environment", "hosted", "host"),
    [
        ({}, False, "127.0.0.1"),
        ({"HOST": "a-machine"}, False, "127.0.0.1"),  # as some shells set it
        ({"HOST": "192.168.0.7"}, True, "192.168.0.7"),
        ({"HOST": "192.168.0.7", "FACELAB_HOSTED": "off"}, False, "192.168.0.7"),
        ({"SPACE_ID": "a/b"}, True, "0.0.0.0"),
        ({"SPACE_ID": "a/b", "HOST": "127.0.0.1"}, True, "127.0.0.1"),
        ({"FACELAB_HOSTED": "1"}, True, "0.0.0.0"),
        ({"SPACE_ID": "a/b", "FACELAB_HOSTED": "off"}, False, "127.0.0.1"),
    ],
)
def test_who_is_hosted_and_where_it_listens(environment, hosted, host, monkeypatch):
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    assert (settings.hosted(), settings.host()) == (hosted, host)
    assert limits() == (HOSTED if hosted else HERE)


def test_a_lent_gpu_leaves_time_to_measure(monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert limits() == LENT and LENT.seconds < 60 and settings.zero_gpu()


def test_defaults_and_values(monkeypatch):
    assert (settings.port(), settings.max_upload_mb(), settings.cache_bytes()) == (7860, 25, 20 * 10**9)
    for name, text in (("PORT", "0"), ("FACELAB_MAX_UPLOAD_MB", "4.5"), ("FACELAB_CACHE_GB", "0")):
        monkeypatch.setenv(name, text)
    assert (settings.port(), settings.max_upload_mb(), settings.cache_bytes()) == (0, 4.5, 0)


def test_training_can_be_switched_off(monkeypatch):
    require_training()
    monkeypatch.setenv("FACELAB_TRAINING", "off")
    with pytest.raises(ValueError, match="training is switched off"):
        require_training()


def test_own_checkpoints_come_before_those_that_are_shipped(tmp_path, monkeypatch):
    mine = tmp_path / "mine.safetensors"
    mine.touch()
    (tmp_path / "strong.safetensors").touch()
    monkeypatch.setenv("FACELAB_CHECKPOINTS", str(tmp_path))
    assert zoo.find_checkpoint("mine") == mine and "mine" in zoo.checkpoint_names()
    assert zoo.find_checkpoint("strong").parent == tmp_path
    assert zoo.checkpoint_names().count("strong") == 1
    assert zoo.find_checkpoint("arcface").parent == zoo.CHECKPOINTS
