"""Builds the wheel, installs it outside the checkout and uses it: compare, train, the page.

`.ci/run` runs this with the packages of its own environment, to which a .pth file leads. With `--full` the
environment is empty: first with the core alone, which must say what is missing, then with the page's extras.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from deploy.space import ROOT, first_page

EXTRAS = "app,reference"


def build(folder: Path) -> Path:
    """Build the wheel of the checkout -> its file."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)],
        check=True,
    )
    (wheel,) = folder.glob("facelab-*.whl")
    return wheel


def environment(folder: Path) -> Path:
    """Make an empty environment -> its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(python: Path, *arguments: str) -> None:
    """Run pip inside an environment."""
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *arguments], check=True)


def lead(python: Path) -> None:
    """Let an environment find the packages of the one that runs this, behind its own."""
    inside = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, encoding="utf-8", check=True,
    ).stdout.strip()  # fmt: skip
    (Path(inside) / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


def run(python: Path, folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess:
    """Run the installed command `facelab` in a folder outside the checkout.

    Raises:
        ValueError: another status than the one expected.
    """
    command = python.with_name("facelab")
    bare = {"PATH": os.defpath, "HOME": str(folder), "FACELAB_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [str(command), *words], cwd=folder, env=bare, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode != status:
        raise ValueError(f"facelab {' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
    return done


def photos(python: Path, folder: Path) -> None:
    """Render two photos of one identity by the installed package."""
    code = """
import torch
from PIL import Image
from facelab.data.parametric import ParametricFaces
crops, _ = ParametricFaces(1, 2, seed=1).rows(torch.arange(2))
for name, crop in zip(("a.png", "b.png"), crops.numpy()):
    picture = Image.new("RGB", (300, 300), (127, 127, 127))
    picture.paste(Image.fromarray(crop).resize((224, 224)), (38, 38))
    picture.save(name)
"""
    subprocess.run([str(python), "-c", code], cwd=folder, check=True)


def core(python: Path, folder: Path) -> None:
    """Check that the core by itself lists models and names the extra that a comparison needs."""
    if "strong" not in run(python, folder, "models").stdout:
        raise ValueError("the core lists no models")
    photos(python, folder)
    said = run(python, folder, "compare", "a.png", "b.png", status=2).stderr
    if "facelab[photos]" not in said:
        raise ValueError(f"the core does not name the extra that is missing: {said}")


def whole(python: Path, folder: Path) -> None:
    """Check what the page's extras bring: a comparison, an epoch of training, the page."""
    photos(python, folder)
    answer = json.loads(run(python, folder, "compare", "a.png", "b.png", "--json").stdout)
    if not isinstance(answer["same"], bool):
        raise ValueError(f"no decision: {answer}")
    small = ("--epochs", "1", "--identities", "8", "--per-identity", "4", "--batch-size", "16")
    run(python, folder, "train", "softmax", "--out", "mine.safetensors", *small)
    run(python, folder, "compare", "a.png", "b.png", "--model", "strong")
    if not (folder / "mine.safetensors").is_file():
        raise ValueError("training wrote no checkpoint")
    seconds = first_page([str(python.with_name("facelab")), "app"], folder)
    print(f"wheel: facelab app served its first page after {seconds:.0f} s")


def main() -> int:
    """Build, install, use -> exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="install every dependency anew")
    asked = parser.parse_args()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="facelab-wheel-") as name:
            folder = Path(name)
            wheel = build(folder)
            print(f"wheel: {wheel.name}, {wheel.stat().st_size / 1e6:.0f} MB")
            python = environment(folder / "environment")
            (folder / "desk").mkdir()
            if asked.full:
                install(python, str(wheel))
                core(python, folder / "desk")
                install(python, f"{wheel}[{EXTRAS}]")
            else:
                install(python, "--no-deps", str(wheel))
                lead(python)
            whole(python, folder / "desk")
        print(f"wheel: passed in {time.monotonic() - began:.0f} s")
        return 0
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"wheel: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
