"""Fixtures that several test files share: rendered faces, which belong to nobody, and one tiny checkpoint."""

import asyncio
import io
import itertools
import os
import struct
import zipfile
import zlib
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from tqdm import tqdm

from facelab.cli import data as cli_data
from facelab.cli import evaluate as cli_evaluate
from facelab.cli import main as cli
from facelab.cli import terminal
from facelab.cli import train as cli_train
from facelab.cli.main import main
from facelab.data.folders import CropSet
from facelab.data.parametric import NUISANCE, ParametricFaces, render, sample_identities, typical, with_values
from facelab.lessons.triplet_collapse import CollapseConfig, learn
from facelab.metrics.operating import measure_operating_points
from facelab.models import checkpoint, zoo
from facelab.models.recipe import Recipe
from facelab.photos.faces import Photo, find_faces
from facelab.training.loop import train
from tests.networks import shrink

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")  # a busy machine is no failure
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PEOPLE = 4
POSES = ((-8.0, 0.0), (6.0, 0.3), (0.0, 0.1))  # yaw in degrees, smile
TINY = Recipe(neck="pool", embedding_dim=16, epochs=1, batch_size=16, held_out=0.0, precision="fp32", lr=0.01)


SLOW = ("browser", "test_pretend.py", "ui", "training", "hostile", "lessons")  # rooms, or a file of its own
TOGETHER = {  # files that one process takes: what they share costs more than they gain by being spread
    "runs": ("test_train_tab.py", "test_transfer_tab.py", "test_own.py", "test_zero_gpu.py"),  # one at a time
    "browser": ("tests/browser/",),
    "page": ("tests/ui/", "tests/test_architecture.py", "tests/test_instructors.py"),
    "hostile": ("tests/hostile/",),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow rooms come first (with `--no-loadscope-reorder`), so that no process ends alone with one."""
    room = {item: item.nodeid.removeprefix("tests/").split("/")[0] for item in items}
    items.sort(key=lambda item: SLOW.index(room[item]) if room[item] in SLOW else len(SLOW))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `--dist loadfile`, files named in `TOGETHER` stay together as the tests of other files do."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit(super()._split_scope(nodeid))

    return Scheduling(config, log)


def unit(file: str) -> str:
    """The name in `TOGETHER` of a test file, or its own."""
    if file.startswith("tests/browser/") and file.endswith(TOGETHER["runs"]):
        return "runs"
    return next((name for name in TOGETHER if file.startswith(TOGETHER[name])), file)


@pytest.fixture(autouse=True)
def drawn_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress bars of commands are drawn as on a terminal, where a wrong total or label breaks them."""

    def drawn(items: Iterable[object], total: int, desc: str, **options: object) -> tqdm:
        assert type(total) is int and type(desc) is str, (total, desc)
        return tqdm(items, total=total, desc=desc, **options | {"disable": False, "file": io.StringIO()})

    monkeypatch.setattr(terminal, "tqdm", drawn)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED


@pytest.fixture(scope="session")
def portraits() -> np.ndarray:
    """(4 people, 3 poses, 256, 256, 3) uint8: people whose every portrait the detector finds; most are."""
    found = (poses for poses in map(drawn, sample_identities(40, 7).split(1)) if all(map(confidence, poses)))
    return np.stack(list(itertools.islice(found, PEOPLE)))


def confidence(pixels: np.ndarray) -> float:
    """The detector's in the only face of a photo; 0 if there is none, or several."""
    faces = find_faces(Photo(pixels, 1.0))
    return faces[0].confidence if len(faces) == 1 else 0.0


def drawn(identity: torch.Tensor) -> np.ndarray:
    """(3 poses, 256, 256, 3) uint8 of one person."""
    out = []
    for yaw, smile in POSES:
        nuisance = with_values(typical(NUISANCE, 1), NUISANCE, {"yaw": yaw, "smile": smile})
        pixels = render(identity, nuisance, 256)[0].permute(1, 2, 0).numpy()
        out.append((pixels * 255).round().astype(np.uint8))
    return np.stack(out)


@pytest.fixture(scope="session")
def clearest(portraits: np.ndarray) -> np.ndarray:
    """The portrait (256, 256, 3) of which the detector is surest; renderings differ in that."""
    return max(portraits.reshape(-1, 256, 256, 3), key=confidence)


@pytest.fixture(scope="session")
def album(portraits: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in one folder per person, `p0/p0_0001.jpg` as LFW names them, and one without a face in `p0`."""
    root = tmp_path_factory.mktemp("album")
    for person, poses in enumerate(portraits):
        (root / f"p{person}").mkdir()
        for i, pixels in enumerate(poses, 1):
            Image.fromarray(pixels).save(root / f"p{person}" / f"p{person}_{i:04d}.jpg", quality=95)
    Image.new("RGB", (200, 200), "gray").save(root / "p0" / "p0_0004.jpg")
    return root


def one_step(recipe: Recipe = TINY) -> tuple:
    """(model, loss function, header) after one step of training on rendered faces, with operating points."""
    crops, labels = ParametricFaces(4, 4, seed=3).rows(torch.arange(16))
    data = CropSet(np.asarray(crops), np.asarray(labels, np.int64), tuple("abcd"), tuple(map(str, range(16))))
    progress = list(train(recipe, data))[-1]
    rng = np.random.default_rng(0)
    points = measure_operating_points(rng.normal(0.6, 0.2, 900), rng.normal(0.1, 0.2, 20_000), "normal draws")
    header = checkpoint.Header(recipe, 4, "rendered faces", {"held_out": {"eer": 0.25}}, points)
    return progress.model.eval(), progress.loss_fn.eval(), header


@pytest.fixture(scope="session")
def tiny_run() -> tuple:
    """What `one_step` returns of the common recipe."""
    return one_step()


@pytest.fixture(scope="session")
def whole_page(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """(the page, its tabs as a link names them, its upload folder); it is built once, which takes seconds."""
    import facelab.ui

    folder, linked, connect = tmp_path_factory.mktemp("machine") / "uploads", [], facelab.ui.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.delenv("FACELAB_HOSTED", raising=False)
        patch.setattr(facelab.ui, "connect", lambda *found: linked.extend(found[2]) or connect(*found))
        return facelab.ui.build_app(), linked, folder


@pytest.fixture(scope="module")
def small_backbone() -> Iterator[None]:
    """In this file the backbone `networks.SMALL` is a network of four blocks."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield


@pytest.fixture(scope="session")
def collapsing() -> int:
    """A seed whose run collapses by hard mining and not by all triplets; not every seed does everywhere."""
    for seed in range(1, 20):
        bad, good = ([*learn(CollapseConfig(mining, seed=seed))][-1] for mining in ("hard", "all"))
        if bad.collapsed and bad.spreads[-1] < 0.01 and good.spreads[-1] > 1 and good.ordered > 0.95:
            return seed
    raise AssertionError("none of 19 runs collapses by hard mining alone")


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_run: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated checkpoint; do not write to it."""
    path = tmp_path_factory.mktemp("checkpoints") / "tiny.safetensors"
    checkpoint.save(path, *tiny_run)
    return path


@pytest.fixture
def crop_folder(tmp_path: Path) -> Path:
    """Three people with three crops each, all of one known gray: person i, crop j has the value 40 i + j."""
    root = tmp_path / "crops"
    for person in range(3):
        (root / f"id{person}").mkdir(parents=True)
        for j in range(3):
            gray = Image.new("RGB", (112, 112), (40 * person + j,) * 3)
            gray.save(root / f"id{person}" / f"{j}.png")
    return root


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def one_sentence(text: str, *roots: os.PathLike) -> bool:
    """Whether a message is one line that leaks none of the given folders and no traceback."""
    text = text.strip()
    return (
        bool(text) and "\n" not in text and "Traceback" not in text and not any(str(r) in text for r in roots)
    )


def link(place: Path, target: os.PathLike | str) -> None:
    """Make a symbolic link; the test is skipped where this user may make none, as on some Windows."""
    try:
        place.symlink_to(target)
    except (OSError, NotImplementedError):
        pytest.skip("this system lets its user make no symbolic links")


def awaited(answer: Coroutine) -> object:
    """The result of a coroutine, run in a thread: a browser test leaves an event loop in its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answer).result()


CROP = encoded(Image.new("RGB", (112, 112), "teal"), "PNG")


def zipped(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip of these files."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def as_zip(folder: Path, path: Path) -> Path:
    """Write a zip of all files below a folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return zipped(path, {p.relative_to(folder).as_posix(): p.read_bytes() for p in files})


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and ends there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.fixture
def own_cache_and_models(tmp_path, tiny_checkpoint, monkeypatch):
    """Commands find the tiny checkpoint by the name `tiny`, and keep nothing outside the test's folder."""
    models = tmp_path / "models"
    models.mkdir()
    (models / "tiny.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    for module in (cli, cli_evaluate, cli_train, cli_data):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(zoo, "CHECKPOINTS", models)


@pytest.fixture
def photos(album) -> list[str]:
    """Two photos of one person."""
    return [str(album / "p1" / "p1_0001.jpg"), str(album / "p1" / "p1_0002.jpg")]


def refused(capsys, *argv: object, begun: bool = False) -> str:
    """The one sentence on stderr of a command that must end with status 2 and say nothing on stdout; one that
    has begun has said its device before.
    """
    assert main([str(arg) for arg in argv]) == 2
    out, err = capsys.readouterr()
    assert not out
    if begun:
        device, err = err.split("\n", 1)
        assert device.startswith("device: "), device
    assert err.startswith("facelab: ") and err.endswith("\n") and one_sentence(err), err
    return err.removeprefix("facelab: ").strip()
