"""Tensors of the pretend device: what each operation on them is refused for, and what is counted.

Refused as on a GPU: tensors of two devices in one operation, a generator of the other device, an index of
the device into a tensor of the CPU, wrong strides in a fused optimizer, access by NumPy. Counted: launches
(operations that are no views), waits (the host stands still until the device has answered), and copies that
wait for nobody.
"""

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

PACKAGE = str(Path(__file__).parents[2] / "facelab")
DEVICE, HOST = torch.device("cuda", 0), torch.device("cpu")
VIEWS = frozenset((
    "detach", "alias", "view", "_unsafe_view", "permute", "transpose", "t", "slice", "select", "expand",
    "unsqueeze", "squeeze", "as_strided", "unbind", "split", "split_with_sizes", "diagonal", "_reshape_alias",
    "lift_fresh", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "unfold", "chunk",
    "_local_scalar_dense", "is_same_size", "narrow", "movedim", "view_as", "record_stream",
))  # fmt: skip
RANDOM = frozenset((
    "rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "bernoulli",
    "bernoulli_", "native_dropout", "uniform_", "normal_", "random_", "exponential_", "normal",
))  # fmt: skip
SIZED = frozenset((  # the size of the result must come back to the host, or a value
    "nonzero", "masked_select", "unique_dim", "_unique2", "unique_consecutive", "bincount", "argwhere",
    "equal", "is_nonzero", "allclose", "_linalg_check_errors", "isin", "_local_scalar_dense",
))  # fmt: skip
INDEXING = ("index", "_index_put_impl_", "index_put_", "index_put", "_unsafe_index")
STATE = {"rng": torch.Generator().manual_seed(0).get_state()}  # of the device's own generator


class Log:
    """What was done since it was cleared; keys are (what, the line of the package that asked for it)."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.launches: Counter[str] = Counter()
        self.waits: Counter[tuple[str, str]] = Counter()
        self.copies: Counter[tuple[str, str]] = Counter()
        self.bytes = 0  # sent to the device


LOG = Log()


def _place() -> str:
    """The line of the package that led here."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            return f"{frame.f_code.co_filename[len(PACKAGE) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back
    return f"thread {threading.current_thread().name}"


def wait(kind: str) -> None:
    """Count that the host stands still until the device has answered."""
    LOG.waits[kind, _place()] += 1


class Pretend(Tensor):
    """A tensor that says it lies on `cuda:0`; its numbers are in `elem`, on the CPU."""

    elem: Tensor

    @staticmethod
    def __new__(cls, elem: Tensor, requires_grad: bool = False) -> "Pretend":
        assert not isinstance(elem, Pretend)
        made = torch.Tensor._make_wrapper_subclass(
            cls, elem.shape, strides=elem.stride(), storage_offset=elem.storage_offset(), dtype=elem.dtype,
            layout=elem.layout, device=DEVICE, requires_grad=requires_grad,
        )  # fmt: skip
        made.elem = elem
        return made

    def __repr__(self) -> str:
        return f"Pretend({self.elem!r})"

    def tolist(self) -> Any:
        wait("tolist")
        return self.elem.detach().tolist()

    def __deepcopy__(self, memo: dict) -> Tensor:
        if id(self) not in memo:
            new = Pretend(self.elem.detach().clone(memory_format=torch.preserve_format))
            if isinstance(self, torch.nn.Parameter) or getattr(self, "_is_param", False):
                new = torch.nn.Parameter(new, self.requires_grad)
            memo[id(self)] = new.requires_grad_(self.requires_grad)
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return dispatch(func, args, kwargs or {})


class Device(TorchDispatchMode):
    """The block in which factories with `device="cuda"` make tensors of the pretend device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return dispatch(func, args, kwargs or {})


def dispatch(func: Any, args: tuple, kwargs: dict) -> Any:
    """Run one operation on the CPU, after it was judged and counted as one of a GPU."""
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        with Device():  # inference tensors come here whole
            out = func.decompose(*args, **kwargs)
        if out is not NotImplemented:
            return out
    flat, spec = tree_flatten((args, kwargs))
    ours = [x for x in flat if isinstance(x, Pretend)]
    theirs = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, Pretend)]
    name = func._schema.name.split("::")[1]
    target = kwargs.get("device")
    to_device = target is not None and torch.device(target).type == "cuda"
    if not ours and not to_device:
        assert all(x.device.type != "cuda" for x in theirs), func
        out = func(*args, **{k: v for k, v in kwargs.items() if k != "pin_memory"})
        if kwargs.get("pin_memory"):
            out._pinned = True
        return out
    _refuse_generator(flat)
    if ours and theirs:
        _refuse_mixture(name, args, kwargs, theirs)
    if name.startswith("_fused_"):
        _refuse_strides(args)
    _count(name, args)
    inner = [x.elem if isinstance(x, Pretend) else x for x in flat]
    inner_args, inner_kwargs = tree_unflatten(inner, spec)
    inner_kwargs = {k: HOST if k == "device" else v for k, v in inner_kwargs.items() if k != "pin_memory"}
    if name == "_to_copy":
        return _copied(func, args[0], inner_args, inner_kwargs, to_device, target)
    return _wrapped(name, _computed(func, name, inner_args, inner_kwargs), ours, theirs)


def _refuse_generator(flat: list[Any]) -> None:
    generator = next((x for x in flat if isinstance(x, torch.Generator)), None)
    if generator is not None and generator.device.type == "cpu":
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' [{_place()}]")


def _refuse_mixture(name: str, args: tuple, kwargs: dict, theirs: list[Tensor]) -> None:
    """Tensors of both devices meet: a copy and plain numbers may, an index of the CPU costs a wait."""
    if name == "copy_":
        to_device = isinstance(args[0], Pretend)
        lazily = kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
        free = lazily and getattr(args[1] if to_device else args[0], "_pinned", False)
        (LOG.copies if free else LOG.waits)["to the device" if to_device else "to the host", _place()] += 1
        return
    if name in INDEXING:
        indices = [x for x in args[1] if isinstance(x, Tensor)]
        if not isinstance(args[0], Pretend) and any(isinstance(x, Pretend) for x in indices):
            raise RuntimeError(
                f"indices should be on the same device as the indexed tensor (cpu) [{_place()}]"
            )
        theirs = [x for x in theirs if not any(x is y for y in indices)]
        wait("index from the host")
    if any(x.ndim for x in theirs):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"in {name} [{_place()}]"
        )


def _refuse_strides(args: tuple) -> None:
    """As `check_fast_path_restrictions` of PyTorch's fused optimizers."""
    lists = [a for a in args if isinstance(a, (list, tuple)) and a and isinstance(a[0], Tensor) and a[0].ndim]
    for other in lists[1:]:
        for p, q in zip(lists[0], other):
            if p.shape == q.shape and any(
                n > 1 and s != t for n, s, t in zip(p.shape, p.stride(), q.stride())
            ):
                raise RuntimeError(
                    f"Expected check_fast_path_restrictions to be true: strides {p.stride()} and {q.stride()}"
                )


def _count(name: str, args: tuple) -> None:
    if name in SIZED:
        wait(name)
    if name == "repeat_interleave" and len(args) < 3:
        wait(name)
    if name in INDEXING:
        masks = [x for x in args[1] if isinstance(x, Tensor) and x.dtype in (torch.bool, torch.uint8)]
        fills = name != "index" and isinstance(args[2], Tensor) and args[2].ndim == 0
        if masks and not fills:
            wait("boolean mask")
    if name not in VIEWS:
        LOG.launches[name] += 1


def _copied(func: Any, source: Tensor, args: tuple, kwargs: dict, to_device: bool, target: Any) -> Tensor:
    """`.to(...)`: a change of type, or the way from one device to the other."""
    ours, lazily = isinstance(source, Pretend), kwargs.get("non_blocking", False)
    ends_here = to_device or (target is None and ours)
    if ours and not ends_here:
        LOG.waits["to the host", _place()] += 1
    elif ends_here and not ours:
        free = lazily and getattr(source, "_pinned", False)
        LOG.bytes += source.numel() * source.element_size()
        (LOG.copies if free else LOG.waits)["to the device", _place()] += 1
    with torch.no_grad():
        out = func(*args, **kwargs)
    return Pretend(out) if ends_here else out


def _computed(func: Any, name: str, args: tuple, kwargs: dict) -> Any:
    """The result, random numbers being drawn from a generator of the device."""
    theirs = kwargs.get("generator")
    if theirs is None and name not in RANDOM:
        return func(*args, **kwargs)
    own, kept = torch.Generator(), torch.get_rng_state()
    own.set_state(STATE["rng"] if theirs is None else theirs.get_state())
    if theirs is not None:
        out = func(*args, **kwargs | {"generator": own})
        theirs.set_state(own.get_state())
        return out
    torch.set_rng_state(own.get_state())
    try:
        return func(*args, **kwargs)
    finally:
        STATE["rng"] = torch.get_rng_state()
        torch.set_rng_state(kept)


def _wrapped(name: str, result: Any, ours: list[Pretend], theirs: list[Tensor]) -> Any:
    """Results as tensors of the device; what was changed in place stays the tensor that it was."""
    same = {id(x.elem): x for x in ours}
    foreign = {id(x) for x in theirs} if name == "copy_" else set()

    def outer(x: Any) -> Any:
        if not isinstance(x, Tensor) or id(x) in foreign:
            return x
        if id(x) in same and same[id(x)].shape != x.shape:
            raise NotImplementedError(f"{name} changes its argument's shape")
        return same.get(id(x)) if id(x) in same else Pretend(x)

    return tree_map(outer, result)
