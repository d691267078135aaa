"""The device that computes: chosen by name, and explained where it cannot be.

`auto` takes a CUDA GPU where PyTorch can use one. A GPU that is there but cannot be used (an old driver, a
card that PyTorch's build has no code for) is said in one sentence, as is what a GPU reports when it runs out
of memory.
"""

import multiprocessing
import re
from pathlib import Path

import torch

from facelab.settings import zero_gpu

NAMES = "auto, cpu, cuda, cuda:N"
CPU = torch.device("cpu")
DRIVER = Path("/proc/driver/nvidia/version")  # where a driver is installed


def has_cuda() -> bool:
    """Return whether this process may use a CUDA GPU.

    A ZeroGPU Space always reports a GPU, but lends it only to processes that it forks.
    """
    if zero_gpu() and multiprocessing.parent_process() is None:
        return False
    return torch.cuda.is_available() and unusable(0) is None


def choose(name: str = "auto") -> torch.device:
    """Return the device of a name: auto, cpu, cuda or cuda:N.

    Raises:
        ValueError: unknown, missing, or of a type that cannot be used; the message says why.
    """
    if name == "auto":
        return torch.device("cuda", 0) if has_cuda() else CPU
    if name == "cpu":
        return CPU
    if name == "mps":
        raise ValueError("mps, the GPU of a Mac, is not supported; give --device cpu")
    found = re.fullmatch(r"cuda(?::(\d{1,4}))?", name)
    if not found:
        raise ValueError(f"unknown device {name[:60]!r}: it must be one of {NAMES}")
    if not torch.cuda.is_available():
        raise ValueError(f"--device {name}: {without_cuda() or 'there is no NVIDIA GPU'}; give --device cpu")
    index, count = int(found[1] or 0), torch.cuda.device_count()
    if index >= count:
        last = count - 1
        raise ValueError(
            f"--device {name}: the last GPU of this machine is cuda:{last}; give cuda:0 to cuda:{last}"
        )
    if why := unusable(index):
        raise ValueError(f"{why}; give --device cpu")
    return torch.device("cuda", index)


def unusable(index: int) -> str | None:
    """Return why PyTorch's build has no code for a GPU of this machine; None if it has."""
    built = [int(arch[3:]) for arch in torch.cuda.get_arch_list() if re.fullmatch(r"sm_\d+", arch)]
    major, minor = torch.cuda.get_device_capability(index)
    if not built or 10 * major + minor >= min(built):
        return None
    oldest = divmod(min(built), 10)
    card = torch.cuda.get_device_name(index)
    return (
        f"{card} has compute capability {major}.{minor} and PyTorch {torch.__version__} needs "
        f"{oldest[0]}.{oldest[1]} or newer"
    )


def without_cuda() -> str | None:
    """Return why an NVIDIA GPU of this machine cannot be used; None if there is none."""
    if not DRIVER.is_file():
        return None
    if torch.version.cuda is None:
        return f"there is an NVIDIA GPU, and PyTorch {torch.__version__} was built without CUDA"
    driver, needed = torch._C._cuda_getDriverVersion(), torch.version.cuda
    major, minor = map(int, needed.split(".")[:2])
    if 0 < driver < 1000 * major:
        has = f"{driver // 1000}.{driver % 1000 // 10}"
        return f"the NVIDIA driver supports CUDA {has} and PyTorch needs {major}.{minor}; update the driver"
    return "there is an NVIDIA GPU, and PyTorch cannot reach it; `nvidia-smi` may say why"


def described(device: torch.device) -> str:
    """Return a device as text: `cuda:0 (NVIDIA T4)`, or `cpu (2 threads)` and why it is not a GPU, if there
    is one.
    """
    if device.type == "cuda":
        index = device.index or 0
        return f"cuda:{index} ({torch.cuda.get_device_name(index)})"
    threads = torch.get_num_threads()
    words = f"cpu ({threads} thread{'s' if threads > 1 else ''})"
    why = unusable(0) if torch.cuda.is_available() else without_cuda()
    if why is None and torch.backends.mps.is_available():
        why = "the GPU of a Mac is not supported"
    return words if why is None else f"{words}; {why}"


def explained(error: RuntimeError) -> str | None:
    """Return an error of a device or of the connection between processes as one sentence; None for other
    errors.
    """
    text = str(error)
    if (
        isinstance(error, torch.OutOfMemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
    ):
        return "the device ran out of memory; lower --batch-size, or train with --precision bf16 or fp16"
    if "no kernel image" in text:
        return "PyTorch's build has no code for this GPU; give --device cpu"
    if isinstance(error, torch.distributed.DistError) or "NCCL" in text:
        return (
            "the processes lost each other: one of them ended, or the network between them failed; see what "
            "the others printed, and go on with --resume"
        )
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in text:
        first = text.split("\n")[0].strip()[:200]
        return f"the GPU reported an error ({first}); go on with --resume, or give --device cpu"
    return None
