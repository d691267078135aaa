"""`hf://` addresses and `push`, against a stand-in of the Hub's HTTP interface on this machine."""

import base64
import hashlib
import http.server
import json
import re
import threading
from dataclasses import replace

import pytest
import yaml
from huggingface_hub import constants

import facelab
from facelab.cli.main import main
from facelab.models import checkpoint, hub, zoo
from tests.conftest import one_sentence, refused

COMMIT = "1" * 40


class Hub(http.server.ThreadingHTTPServer):
    """Repositories in memory, {"owner/name": {"file": bytes}}, of the revisions `main` and COMMIT."""

    def __init__(self):
        self.repositories, self.objects, self.tokens, self.fetched = {}, {}, set(), []
        super().__init__(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self.server_port}"


class Answers(http.server.BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_):
        pass

    def answer(self, content=b"", status=200, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def lost(self, what):
        """The 404 of the Hub, which says what is missing."""
        self.answer({"error": "not found"}, 404, X_Error_Code=f"{what}NotFound")

    def do_GET(self):
        found = re.match(r"/(?:api/models/)?([^/]+/[^/]+)/(resolve|revision)/([^/?]+)/?([^?]*)", self.path)
        repository, kind, revision, name = found.groups() if found else ("", "", "", "")
        files = self.server.repositories.get(repository)
        if files is None:
            return self.lost("Repo")
        if revision not in ("main", COMMIT):
            return self.lost("Revision")
        if kind == "revision":
            return self.answer(
                {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": n} for n in files]}
            )
        if name not in files:
            return self.lost("Entry")
        if self.command == "GET":
            self.server.fetched.append(name)
        etag = hashlib.sha256(files[name]).hexdigest()
        return self.answer(files[name], ETag=f'"{etag}"', X_Repo_Commit=COMMIT, Accept_Ranges="bytes")

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self):
        self.server.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.headers.get("Authorization") != "Bearer hf_good":
            return self.answer({"error": "no"}, 401)
        if self.path == "/api/validate-yaml":
            return self.answer({"warnings": [], "errors": []})
        if self.path == "/api/repos/create":
            values = json.loads(body)
            name = f"{values.get('organization') or 'me'}/{values['name']}"
            self.server.repositories.setdefault(name, {})
            return self.answer({"url": f"{self.server.address}/{name}", "id": name})
        if "/preupload/" in self.path:
            kinds = ("regular", "lfs")
            return self.answer({"files": [
                {"path": f["path"], "shouldIgnore": False,
                 "uploadMode": kinds[f["path"].endswith(".safetensors")]}
                for f in json.loads(body)["files"]
            ]})  # fmt: skip
        if self.path.endswith("/info/lfs/objects/batch"):
            return self.answer({"transfer": "basic", "objects": [
                {**o, "actions": {"upload": {"href": f"{self.server.address}/{o['oid']}"}}}
                for o in json.loads(body)["objects"]
            ]})  # fmt: skip
        repository = re.match(r"/api/models/([^/]+/[^/]+)/commit/", self.path)[1]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.repositories[repository][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.server.objects[f"/{value['oid']}"]
                self.server.repositories[repository][value["path"]] = content
        url = f"{self.server.address}/{repository}/commit/{COMMIT}"
        return self.answer({"commitUrl": url, "commitOid": COMMIT, "success": True})


@pytest.fixture
def online(monkeypatch, tmp_path):
    """The stand-in, which the library is led to; the cache is empty."""
    server = Hub()
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    monkeypatch.setattr(hub, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("where", ["me/mine", "me/mine@main", f"me/mine@{COMMIT}/model.safetensors"])
def test_a_checkpoint_of_the_hub_is_loaded_and_kept(where, online, tiny_checkpoint):
    online.repositories["me/mine"] = {"README.md": b"", "model.safetensors": tiny_checkpoint.read_bytes()}
    for _ in range(2):
        embedder = facelab.load(f"hf://{where}")
        assert embedder.points == facelab.load(str(tiny_checkpoint)).points
    assert online.fetched == ["model.safetensors"]


def test_offline_the_cache_answers_and_what_is_not_there_is_one_sentence(
    online, tiny_checkpoint, monkeypatch, capsys
):
    online.repositories["me/mine"] = {"model.safetensors": tiny_checkpoint.read_bytes()}
    facelab.load("hf://me/mine")
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert facelab.load("hf://me/mine").points
    capsys.readouterr()
    for name in ("hf://me/other", "hf://me/mine/other.safetensors"):
        said = refused(capsys, "export", name, "--onnx", "x.onnx")
        assert said.startswith("the Hub cannot be reached") and name in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf://me", "is not an address on the Hub; write hf://owner/name"),
        ("hf://me/mine/../../secret.safetensors", "is not an address"),
        ("hf://me/mine/model.bin", "is not an address"),
        ("hf://you/yours", "has no repository you/yours, or the token"),
        ("hf://me/mine@v9", "me/mine has no revision v9"),
        ("hf://me/mine/c.safetensors", "me/mine has no file c.safetensors"),
        ("hf://me/mine", "holds a.safetensors, b.safetensors; name one"),
        ("hf://me/none", "holds no .safetensors file"),
        ("hf://me/mine/a.safetensors", "a.safetensors is not a complete"),
    ],
)
def test_what_is_not_to_be_had_is_one_sentence(name, words, online):
    online.repositories |= {
        "me/mine": {"a.safetensors": b"x", "b.safetensors": b"y"},
        "me/none": {"x.bin": b""},
    }
    with pytest.raises(ValueError, match=" ") as error:
        facelab.load(name)
    assert words in str(error.value) and one_sentence(str(error.value))


def test_a_file_that_is_too_large_is_not_fetched(online, monkeypatch):
    online.repositories["me/mine"] = {"model.safetensors": b"x" * 100}
    monkeypatch.setattr(hub, "LARGEST", 99)
    with pytest.raises(ValueError, match="100 bytes"):
        facelab.load("hf://me/mine")
    assert not online.fetched


def test_a_name_that_no_folder_has_comes_from_the_repository_that_is_set(
    online, tiny_checkpoint, monkeypatch
):
    online.repositories["me/zoo"] = {"distant.safetensors": tiny_checkpoint.read_bytes()}
    with pytest.raises(ValueError, match="there is no model 'distant'"):
        facelab.load("distant")
    monkeypatch.setenv("FACELAB_HUB", "me/zoo@main")
    assert facelab.load("distant").points
    assert facelab.load("strong") and online.fetched == ["distant.safetensors"]
    with pytest.raises(ValueError, match=r"me/zoo has no file stron\.safetensors"):
        facelab.load("stron")


def test_push_uploads_weights_and_a_card_and_no_names_of_people(online, tiny_run, tmp_path, capsys):
    path = tmp_path / "mine.safetensors"
    figures = {"accuracy": 0.9, "eer": 0.1, "tar_at_far": {"0.01": 0.7}}
    header = replace(tiny_run[2], identities=("ann", "bob", "cy", "di"), metrics={"lfw_view2": figures})
    checkpoint.save(path, *tiny_run[:2], header)
    assert main(["push", str(path), "me/mine", "--license", "cc-by-nc-4.0", "--dataset", "me/faces"]) == 0
    assert capsys.readouterr().out.strip() == f"{online.address}/me/mine"
    files = online.repositories["me/mine"]
    assert set(files) == {"model.safetensors", "README.md"}
    _, matter, text = files["README.md"].decode().split("---\n", 2)
    said = yaml.safe_load(matter)
    assert said["license"] == "cc-by-nc-4.0" and said["library_name"] == "facelab"
    assert said["pipeline_tag"] == "image-feature-extraction" and said["datasets"] == ["me/faces"]
    (result,) = said["model-index"][0]["results"]
    assert {m["name"]: m["value"] for m in result["metrics"]} == {
        "accuracy": 0.9,
        "EER": 0.1,
        "TAR@FAR=0.01": 0.7,
    }
    assert 'model="hf://me/mine"' in text and "normal draws" in text
    (copy := tmp_path / "copy.safetensors").write_bytes(files["model.safetensors"])
    assert checkpoint.describe(copy) == replace(checkpoint.describe(path), identities=())
    assert checkpoint.describe(path).identities == header.identities
    assert facelab.load("hf://me/mine").points == checkpoint.describe(path).operating_points


def test_shipped_weights_take_their_license_along(online, own_cache_and_models, capsys):
    (zoo.CHECKPOINTS / "LICENSE").write_text("non-commercial")
    assert main(["push", "tiny", "me/tiny"]) == 0
    files = online.repositories["me/tiny"]
    assert files["LICENSE"] == b"non-commercial"
    said = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert said["license"] == "other" and said["license_link"] == "LICENSE" and said["datasets"] == ["celeba"]


def test_a_push_that_cannot_be_is_one_sentence(online, tiny_checkpoint, monkeypatch, capsys):
    assert "write owner/name" in refused(capsys, "push", tiny_checkpoint, "me/mine@v1")
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    assert "the Hub answered 401" in refused(capsys, "push", tiny_checkpoint, "me/mine")
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    assert "the Hub cannot be reached" in refused(capsys, "push", tiny_checkpoint, "me/mine")
    assert not online.repositories
