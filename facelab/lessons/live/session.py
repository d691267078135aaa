"""Training for an audience: one run at a time in this process, and a queue.

A run has a separate thread, so that the page responds while a step computes. A follower gets a `Snapshot`
twice a second, may stop the run, and may leave and return, as a reloaded page does. A run without followers
for `PATIENCE` seconds ends at the next step and its memory is freed.
"""

import contextlib
import contextvars
import ctypes
import gc
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from facelab.lessons.live import queue as live_queue
from facelab.lessons.live.course import STOPPED, Course, Snapshot, course, failed
from facelab.lessons.live.data import TrainingData
from facelab.lessons.live.queue import QUEUE, TrainingQueue
from facelab.models.recipe import Recipe

POLL = 0.4  # seconds between two snapshots
NICE = 5  # of a run's thread, as `nice` counts: photos of other visitors are compared first


def give_way() -> None:
    """Let all other threads go before the calling one, where each has a priority of its own (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            here = os.PRIO_PROCESS, threading.get_native_id()
            os.setpriority(*here, max(NICE, os.getpriority(*here)))


def give_back_memory() -> None:
    """Free the memory of a finished run; return it to GPU and system where the library allows it (glibc)."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


class Training:
    """One run, from the queue to its result.

    Args:
        recipe: what to train.
        pool: training data; forgotten when the run ends.
        seconds: time limit.
        visitor: name of its owner; anyone who knows it may follow and stop the run.
        tab: tab of the page.
        about: description for a page that finds it again.
        line: its queue.
        borrow: function that trains in place of `course`, on another device.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: TrainingData,
        seconds: float,
        visitor: str = "",
        tab: str = "",
        about: tuple[Any, ...] = (),
        line: TrainingQueue = QUEUE,
        borrow: Course | None = None,
    ) -> None:
        self.recipe, self.visitor, self.tab, self.about, self.started = recipe, visitor, tab, about, False
        self._pool, self.limit, self._line, self._borrow = pool, seconds, line, borrow or course
        self._latest = self._end = Snapshot("starting")
        self._stop, self._done = threading.Event(), threading.Event()
        self._keep, self._seen, self._began, self._lock = True, time.monotonic(), math.nan, threading.Lock()

    def follow(self) -> Iterator[Snapshot]:
        """Wait in the queue, train, and yield snapshots; a follower may return within `PATIENCE`."""
        if not self._line.join(self):
            yield Snapshot("failed", message="your other run is still under way; stop it first")
            return
        while not self.started and (ahead := self._line.position(self)):
            yield Snapshot("waiting", ahead=ahead, seconds_left=self._line.wait(self))
            self._seen = time.monotonic()
            if self._stop.wait(POLL):
                self._line.leave(self)
                yield Snapshot("stopped", message="It left the queue before its turn.")
                return
        self._begin()
        while not self._done.wait(POLL):
            self._seen = time.monotonic()
            state = "ending" if self._stop.is_set() else self._latest.state
            yield replace(self._latest, state=state, seconds=self._seen - self._began)
        yield self._end
        self._line.forget(self)

    def _begin(self) -> None:
        """Start the thread once, for any number of followers."""
        with self._lock:
            if not self.started:
                self.started, self._began = True, time.monotonic()
                here = contextvars.copy_context()  # whose visit it is, for the owner of a lent GPU
                threading.Thread(
                    target=here.run, args=(self._work,), daemon=True, name="live-training"
                ).start()

    def stop(self) -> None:
        """Stop after the current step, and measure the network so far."""
        self._stop.set()

    def clock(self) -> tuple[float, float]:
        """Return the seconds since it began and the estimated seconds left; NaN is not known (yet)."""
        so_far = time.monotonic() - self._began
        return so_far, max(min(self._latest.seconds_left, self.limit - so_far), 0.0)  # NaN first, which stays

    def is_abandoned(self) -> bool:
        """Return whether there has been no follower for a long time."""
        return time.monotonic() - self._seen > live_queue.PATIENCE

    def is_lost(self) -> bool:
        """Return whether the run was abandoned, so that there is nothing to come back to."""
        return not self._keep

    def wait(self, seconds: float) -> bool:
        """Wait for the end -> whether it came; afterwards the run holds no memory."""
        return self._done.wait(seconds)

    def _work(self) -> None:
        told = None
        give_way()
        try:
            steps = self._borrow(self.recipe, self._pool, self.limit, self._stop.is_set)
            with contextlib.closing(steps):
                for told in steps:
                    if told.state not in ("training", "ending"):
                        self._end = told
                        break
                    self._latest, self._keep = told, self._keep and not self.is_abandoned()
                    if not self._keep:
                        self._end = replace(told, state="stopped", message=STOPPED)
                        break
        except Exception as error:  # the visitor is told, and the next in line must not wait for ever
            self._end = failed(self._latest, error)
        finally:
            self._pool = steps = told = None
            give_back_memory()
            self._line.leave(self, over=True)
            self._done.set()
