"""The package on a GPU that does not exist, in a process of its own; see `tests/pretend`."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.pretend import guard

ROOT = Path(__file__).parents[1]
CHECKS = {"check_training": 30, "check_use": 40, "check_faults": 10}  # and how many each holds at least


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> dict[str, dict[str, str]]:
    """{file of checks: {check: what went wrong, or nothing}}."""
    if guard.compiler() is None:
        pytest.skip("there is no C++ compiler to build the pretend device's guard with")
    report = tmp_path_factory.mktemp("pretend") / "report.xml"
    files = [f"tests/pretend/{name}.py" for name in CHECKS]
    command = [sys.executable, "-m", "pytest", "-p", "tests.pretend.plugin", f"--junitxml={report}", *files]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert report.is_file(), done.stderr[-2000:] + done.stdout[-2000:]
    found: dict[str, dict[str, str]] = {name: {} for name in CHECKS}
    for case in ElementTree.parse(report).iter("testcase"):
        wrong = [said(entry) for entry in case if entry.tag in ("failure", "error", "skipped")]
        found[case.get("classname").rsplit(".", 1)[-1]][case.get("name")] = " ".join(wrong)
    return found


def said(entry: ElementTree.Element) -> str:
    """What a check says of its failure, with the end of what it printed."""
    return f"{entry.get('message', '')} {(entry.text or '')[-3000:]}"


@pytest.mark.parametrize("name", CHECKS)
def test_on_the_pretend_device(outcome, name):
    wrong = {check: why for check, why in outcome[name].items() if why}
    assert not wrong
    assert len(outcome[name]) >= CHECKS[name]
