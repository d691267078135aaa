"""A pytest plugin: everything that PyTorch can be asked about its GPU is answered for the pretend one."""

import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.utils.clip_grad as clipping
import torch.optim.optimizer as optimizers
import torch.utils._foreach_utils as foreach

from tests.pretend import guard
from tests.pretend.device import STATE, Device, Pretend, wait

MEMORY = 79 * 10**9
CAPABILITY, ARCHITECTURES = [9, 0], ["sm_75", "sm_80", "sm_90"]


def install() -> None:
    """Put the pretend device in the place of a real one, for the life of this process."""
    guard.install()
    torch._C._set_only_lift_cpu_tensors(True)
    torch.backends.cudnn.enabled = False
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # param.data = would lose the wrapper
    _answer_for_the_driver()
    _answer_for_the_generator()
    torch.Tensor.pin_memory = _pinned
    torch.cuda.Event = Event
    optimizers._foreach_supported_types.append(Pretend)  # as on a GPU, where tensors are plain
    for module in (foreach, clipping):
        module._has_foreach_support = lambda tensors, device: True


def _answer_for_the_driver() -> None:
    for value, names in (
        (None, "_lazy_init synchronize empty_cache set_device reset_peak_memory_stats"),
        (True, "is_initialized is_available _check_bf16_tensor_supported"),
        (False, "is_current_stream_capturing _is_in_bad_fork"),
        (0, "current_device memory_allocated max_memory_allocated memory_reserved"),
        (1, "device_count"),
        ("Pretend", "get_device_name"),
        (ARCHITECTURES, "get_arch_list"),
        ((MEMORY, MEMORY), "mem_get_info"),
    ):
        for name in names.split():
            setattr(torch.cuda, name, _always(value))
    torch.cuda.get_device_capability = lambda device=None: tuple(CAPABILITY)
    torch.cuda.is_bf16_supported = lambda including_emulation=True: including_emulation or CAPABILITY[0] >= 8
    torch.cuda.get_device_properties = lambda device=None: types.SimpleNamespace(
        major=CAPABILITY[0], minor=CAPABILITY[1], name="Pretend", total_memory=MEMORY, multi_processor_count=1
    )


def _always(value: object) -> Callable[..., object]:
    """A function of its own each time, since PyTorch's compiler keeps a table of them."""
    return lambda *args, **kwargs: value


def _answer_for_the_generator() -> None:
    def put(state: torch.Tensor, device: object = "cuda") -> None:
        STATE["rng"] = state.clone()

    for module in (torch.cuda, torch.cuda.random):
        module.manual_seed = lambda number: put(torch.Generator().manual_seed(int(number)).get_state())
        module.manual_seed_all = lambda number: put(torch.Generator().manual_seed(int(number)).get_state())
        module.get_rng_state = lambda device="cuda": STATE["rng"].clone()
        module.set_rng_state = lambda state, device="cuda": put(state)


@contextmanager
def capability(major: int, minor: int, oldest: int = 75) -> Iterator[None]:
    """Be an older card, and a build of PyTorch for cards from `oldest` on."""
    before = [*CAPABILITY], [*ARCHITECTURES]
    CAPABILITY[:], ARCHITECTURES[0] = (major, minor), f"sm_{oldest}"
    try:
        yield
    finally:
        CAPABILITY[:], ARCHITECTURES[:] = before


def _pinned(tensor: torch.Tensor, device: object = None) -> torch.Tensor:
    out = tensor.clone()
    out._pinned = True
    return out


class Event:
    """A mark in the device's queue, which the host may wait for."""

    def record(self) -> None: ...

    def synchronize(self) -> None:
        wait("event")


@contextmanager
def in_threads() -> Iterator[None]:
    """New Python threads see the device too."""
    real = threading.Thread.run

    def run(self: threading.Thread) -> None:
        torch._C._set_only_lift_cpu_tensors(True)  # of this thread
        with Device():
            real(self)

    threading.Thread.run = run
    try:
        yield
    finally:
        threading.Thread.run = real


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    with in_threads(), Device():
        yield


install()
