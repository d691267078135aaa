"""The two parts of a device that only C++ can give PyTorch, compiled once: a second with any compiler."""

import ctypes
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("guard.cpp")
BUILT = Path(__file__).parents[2] / ".pytest_cache"


def compiler() -> str | None:
    """The command of a C++ compiler, or None."""
    return next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


def install() -> None:
    """Give PyTorch a CUDA device guard and hooks that need no GPU, for the life of this process."""
    ctypes.CDLL(str(_library())).install()


def _library() -> Path:
    """The compiled library, one for each version of the source and of PyTorch."""
    key = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    out = BUILT / f"pretend-{key}.so"
    if out.is_file():
        return out
    BUILT.mkdir(exist_ok=True)
    root, part = Path(torch.__file__).parent, out.with_suffix(f".{os.getpid()}.part")
    command = [compiler(), "-std=c++17", "-shared", "-fPIC", f"-I{root / 'include'}", str(SOURCE)]
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    subprocess.run([*command, abi, f"-L{root / 'lib'}", "-lc10", "-ltorch_cpu", "-o", str(part)], check=True)
    os.replace(part, out)
    return out
