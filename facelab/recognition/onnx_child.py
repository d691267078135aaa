"""A stranger's ONNX graph, run in a process of its own whose memory has a limit.

A graph can ask for any amount of memory and time, and a flaw of the runtime could let it do worse; so the
page never runs one in its own process. The child reads the graph from its standard input, checks it as
`onnx_embedder` does, and then answers crops with vectors. Only numbers and one sentence come back, in a fixed
form, and nothing is unpickled. The process ends with the model, at the end of its input, or when it is late.
"""

import contextlib
import struct
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from facelab.photos import CROP_SIZE
from facelab.recognition.onnx_embedder import BATCH, MAX_DIMENSION, SECONDS, opened

MEMORY = 2**30  # bytes that a graph may take, besides what the process has when it begins
START_SECONDS = 90  # to import the runtime and to prepare the graph
MOST = 4  # processes at once, of all visits
WORDS = 1000  # bytes of a sentence
HEAD = struct.Struct("<cII")  # b"v" and the shape of the vectors, or b"e" and the length of a sentence
LATE = "the ONNX model took too long or more than {memory} MB of memory; export a smaller one"
BEGIN = (  # wherever the parent was started
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
    "from facelab.recognition.onnx_child import main; main()"
)

_running: "weakref.WeakSet[OnnxChild]" = weakref.WeakSet()
_start = threading.Lock()


def can_limit() -> bool:
    """Return whether this system can limit a process's memory."""
    return sys.platform.startswith("linux")


class OnnxChild:
    """A graph in its own process: called with crops, it returns vectors.

    Args:
        name: of the file, for messages.
        data: content of the .onnx file.
        flip: add the embedding of the mirrored crop, unless the graph does.
        memory: bytes that the graph may take.

    Raises:
        ValueError: the graph is not accepted, too slow or too large, or too many are open.
    """

    def __init__(self, name: str, data: bytes, flip: bool = True, memory: int = MEMORY) -> None:
        self._lock, self._late = threading.Lock(), LATE.format(memory=memory // 2**20)
        command = [sys.executable, "-c", BEGIN, str(int(flip)), str(memory)]
        with _start:
            if len(_running) >= MOST:
                raise ValueError(
                    f"{MOST} ONNX models are open on this page; try again in a quarter of an hour"
                )
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            _running.add(self)
        self.close = weakref.finalize(self, _end, self._process)
        title = name.encode()[:WORDS]
        try:
            self._ask(struct.pack("<IQ", len(title), len(data)) + title + data, START_SECONDS)
        except ValueError:
            self.end()
            raise

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Embed uint8 crops (N, 112, 112, 3) -> float32 (N, D).

        Raises:
            ValueError: the graph fails, takes too long or too much memory, or its process is over.
        """
        crops = np.ascontiguousarray(crops, np.uint8)
        parts = [crops[i : i + BATCH] for i in range(0, len(crops), BATCH)]
        found = [self._ask(struct.pack("<I", len(p)) + p.tobytes(), SECONDS + 15) for p in parts]
        if any(len(vectors) != len(part) for vectors, part in zip(found, parts)):
            raise ValueError("the ONNX model gave another number of vectors than there were crops")
        return np.concatenate(found)

    def _ask(self, message: bytes, seconds: float) -> np.ndarray:
        """Send a message and return the vectors that come back."""
        with self._lock:
            if self._process.stdin.closed:
                raise ValueError(self._late)
            timer = threading.Timer(seconds, self._process.kill)
            timer.start()
            try:
                self._process.stdin.write(message)
                self._process.stdin.flush()
                return _answer(self._process.stdout, self._late)
            except OSError as error:  # the process is over
                raise ValueError(self._late) from error
            finally:
                timer.cancel()

    def end(self) -> None:
        """Stop the process; the model is of no use afterwards."""
        _running.discard(self)
        self.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # of what was not written yet
            pipe.close()


def _answer(file: BinaryIO, late: str) -> np.ndarray:
    """Read one answer: what comes from the child is checked like any other input."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        raise ValueError(late)
    kind, first, second = HEAD.unpack(head)
    if kind == b"e":
        raise ValueError(file.read(min(first, WORDS)).decode(errors="replace"))
    if kind != b"v" or first > BATCH or second > MAX_DIMENSION:
        raise ValueError(late)
    body = file.read(4 * first * second)
    if len(body) < 4 * first * second:
        raise ValueError(late)
    vectors = np.frombuffer(body, "<f4").reshape(first, second)
    if not np.isfinite(vectors).all():
        raise ValueError("the ONNX model gives NaN or infinity; export it again in float32")
    return vectors


def _limit(memory: int) -> None:
    """Set the memory limit of this process to what it has and `memory` bytes more."""
    import resource

    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[0])
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file


def _exactly(file: BinaryIO, count: int) -> bytes:
    """Return that many bytes; the parent is gone if there are fewer."""
    found = file.read(count)
    if len(found) < count:
        sys.exit(0)
    return found


def _tell(call: Any, *arguments: Any) -> Any:
    """Answer with what a call returns, or with the sentence of its error."""
    out, result = sys.stdout.buffer, None
    try:
        result = call(*arguments)
        vectors = result if isinstance(result, np.ndarray) else np.empty((0, 0))
        out.write(HEAD.pack(b"v", *vectors.shape) + vectors.astype("<f4").tobytes())
    except Exception as error:  # a MemoryError included
        words = (
            str(error) if isinstance(error, ValueError) else f"the ONNX model failed: {type(error).__name__}"
        )
        packed = words.encode()[:WORDS]
        out.write(HEAD.pack(b"e", len(packed), 0) + packed)
    out.flush()
    return result


def main() -> None:
    """Serve one graph until the input ends."""
    import onnx  # noqa: F401  before the limit, which counts from here
    import onnxruntime  # noqa: F401

    flip, memory = bool(int(sys.argv[1])), int(sys.argv[2])
    if can_limit():
        _limit(memory)
    file = sys.stdin.buffer
    length, size = struct.unpack("<IQ", _exactly(file, 12))
    name, data = _exactly(file, length).decode(errors="replace"), _exactly(file, size)
    model = _tell(opened, name, data, flip, 1)
    if model is None:
        return
    while True:
        count = struct.unpack("<I", _exactly(file, 4))[0]
        crops = np.frombuffer(_exactly(file, count * CROP_SIZE * CROP_SIZE * 3), np.uint8)
        _tell(model, crops.reshape(count, CROP_SIZE, CROP_SIZE, 3))
