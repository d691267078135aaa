"""README.md opens with what sets a Hugging Face Space up; each key and value is one that the Hub knows."""

import re
from pathlib import Path

import yaml
from huggingface_hub import SpaceHardware

from deploy import space

ROOT = Path(__file__).parent.parent
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
KEYS = {  # https://huggingface.co/docs/hub/spaces-config-reference
    "title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version", "suggested_hardware",
    "suggested_storage", "app_file", "app_build_command", "app_port", "base_path", "fullWidth", "header",
    "short_description", "models", "datasets", "tags", "thumbnail", "pinned", "hf_oauth", "hf_oauth_scopes",
    "hf_oauth_expiration_minutes", "hf_oauth_authorized_org", "disable_embedding",
    "startup_duration_timeout", "custom_headers", "preload_from_hub",
    "license", "license_name", "license_link",
}  # fmt: skip
MATTER = yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])


def pins():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(line.split("#")[0].strip().split("==") for line in lines if "==" in line)


def test_every_key_is_documented_and_every_value_legal():
    assert set(MATTER) <= KEYS
    assert {MATTER["colorFrom"], MATTER["colorTo"]} <= COLORS
    assert MATTER["sdk"] == "gradio" and (ROOT / MATTER["app_file"]).is_file()
    assert len(MATTER["short_description"]) <= 60  # the Hub refuses more
    assert re.fullmatch(r"3\.\d+(\.\d+)?", MATTER["python_version"])


def test_it_asks_for_the_hardware_that_is_free():
    assert MATTER["suggested_hardware"] == SpaceHardware.ZERO_A10G.value


def test_the_space_runs_the_pinned_gradio():
    assert MATTER["sdk_version"] == pins()["gradio"]


def test_a_license_that_the_hub_does_not_list_has_a_name_and_a_link():
    """The link is a file of one of these names, or a URL (huggingface/hub-docs, modelcard.md)."""
    for path in (ROOT / "README.md", ROOT / "checkpoints/README.md"):
        matter = yaml.safe_load(path.read_text("utf-8").split("---\n")[1])
        assert matter["license"] == "other" and re.fullmatch(r"[a-z0-9.-]+", matter["license_name"])
        assert (
            matter["license_link"] in ("LICENSE", "LICENSE.md")
            and (path.parent / matter["license_link"]).is_file()
        )


def test_the_license_of_the_weights_is_named_wherever_they_go():
    text = (ROOT / "checkpoints/LICENSE").read_text("utf-8")
    assert "CelebA" in text and "non-commercial research" in text
    assert {"LICENSE", "LICENSE.md", "checkpoints"} <= {*space.PARTS}
    assert "(checkpoints/LICENSE)" in (ROOT / "LICENSE.md").read_text("utf-8")


MODEL_KEYS = {  # https://github.com/huggingface/hub-docs/blob/main/modelcard.md
    "language", "license", "license_name", "license_link", "library_name", "tags", "datasets", "metrics",
    "base_model", "model-index", "pipeline_tag",
}  # fmt: skip


def test_the_model_card_of_the_checkpoints_uses_documented_keys():
    matter = yaml.safe_load((ROOT / "checkpoints/README.md").read_text("utf-8").split("---\n")[1])
    assert set(matter) <= MODEL_KEYS
    assert matter["library_name"] == "facelab" and matter["pipeline_tag"] == "image-feature-extraction"
