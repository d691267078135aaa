"""The files around the package: the container, CI, the citation and the hooks say what the project is."""

import re
import tomllib
from pathlib import Path

import yaml

from deploy import space
from tests.conftest import TOGETHER, unit

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
DEV = dict(
    line.split("#")[0].strip().split("==")
    for line in (ROOT / "requirements-dev.txt").read_text("utf-8").splitlines()
    if "==" in line
)


def read(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_the_image_holds_what_a_space_holds():
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M) for name in line.split()}
    assert copied == set(space.PARTS)
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {line[1:] for line in allowed if line.startswith("!")} == copied and "*" in allowed


def test_the_image_has_no_rights_and_a_health_check():
    assert re.search(r"^USER [1-9]\d*$", DOCKERFILE, re.M)
    assert "/healthz" in DOCKERFILE.partition("HEALTHCHECK")[2]
    python = read_front()["python_version"]
    assert f"FROM python:{python}-slim" in DOCKERFILE


def read_front():
    return yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("---\n")[1])


def test_the_database_is_an_option_and_nothing_listens_to_other_machines():
    services = read("compose.yaml")["services"]
    assert "profiles" not in services["page"] and services["qdrant"]["profiles"] == ["gallery"]
    ports = [port for service in services.values() for port in service["ports"]]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_ci_runs_what_the_project_runs_on_three_systems():
    jobs = read(".github/workflows/ci.yml")["jobs"]
    linux, elsewhere = jobs["linux"], jobs["elsewhere"]
    assert len(linux["strategy"]["matrix"]["python"]) == 2
    assert linux["steps"][-1]["run"] == "bash .ci/run"
    assert set(elsewhere["strategy"]["matrix"]["os"]) == {"macos-latest", "windows-latest"}
    assert "--ignore tests/browser" in elsewhere["steps"][-1]["run"]
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert oldest == linux["strategy"]["matrix"]["python"][0]


def test_the_citation_and_the_hooks_have_the_project_s_versions():
    citation = read("CITATION.cff")
    assert citation["version"] == PROJECT["version"] and citation["title"].startswith("FaceLab")
    ruff, others = read(".pre-commit-config.yaml")["repos"]
    assert ruff["rev"] == f"v{DEV['ruff']}"
    hooks = {hook["id"]: hook for hook in others["hooks"]}
    (limit,) = hooks["check-added-large-files"]["args"]
    assert int(limit.partition("=")[2]) * 1024 <= 10_000_000  # as a test of the whole tree has it


def test_issue_templates_ask_for_no_photos():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        assert yaml.safe_load(path.read_text("utf-8"))
    assert "Never attach photos" in (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text("utf-8")


def test_files_that_share_a_process_are_there_and_have_one_unit():
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    units = {unit(file) for file in files} - files
    assert units == set(TOGETHER)
    for ends in TOGETHER.values():
        assert all(any(file.startswith(end) or file.endswith(end) for file in files) for end in ends), ends
    assert unit("tests/browser/test_own.py") == "runs" and unit("tests/ui/test_own.py") == "page"
    assert unit("tests/data/test_cache.py") == "tests/data/test_cache.py"
