"""Queue of live runs, and lookup of a visitor's run.

A visitor is identified by a name that only their browser holds, and has one place in the queue. Finished
runs stay here for `PATIENCE` seconds unless their end was delivered, so that a page that is reloaded in the
meantime still receives it.
"""

import math
import statistics
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facelab.lessons.live.session import Training

PATIENCE = 20.0  # seconds without anyone asking for the next snapshot, after which a run is given up
REMEMBERED = 8  # runs whose length the estimate of a wait is based on


class TrainingQueue:
    """Queue of the runs of this process in order of arrival; the first one trains."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[Training] = []
        self._over: list[Training] = []  # ended, and not told yet
        self._took: deque[float] = deque(maxlen=REMEMBERED)  # seconds of the last runs

    def join(self, run: "Training") -> bool:
        """Add a run at the end -> whether it has a place; its visitor may have no other run here.

        A run that is or was in the queue keeps its position.
        """
        with self._lock:
            if run in self._runs or run.started:
                return True
            if self._another(run):
                return False
            self._runs.append(run)
            return True

    def _another(self, run: "Training") -> bool:
        return bool(run.visitor) and any(
            other.visitor == run.visitor for other in self._runs if other is not run
        )

    def leave(self, run: "Training", over: bool = False) -> None:
        """Remove a run, if present; a run that is `over` with a result can still be found."""
        with self._lock:
            self._runs = [other for other in self._runs if other is not run]
            if over and math.isfinite(took := run.clock()[0]):
                self._took.append(took)
            if not over or run.is_lost():
                return
            self._over.append(run)
        timer = threading.Timer(PATIENCE, self.forget, [run])
        timer.daemon = True
        timer.start()

    def forget(self, run: "Training") -> None:
        """Drop a run that is over."""
        with self._lock:
            self._over = [other for other in self._over if other is not run]

    def position(self, run: "Training") -> int:
        """Return the number of runs ahead of it; abandoned runs are not counted."""
        with self._lock:
            self._runs = [r for r in self._runs if r is run or r.started or not r.is_abandoned()]
            if run not in self._runs:  # it was counted out, and is back
                if self._another(run):
                    run.stop()
                    return len(self._runs)
                self._runs.append(run)
            return self._runs.index(run)

    def wait(self, run: "Training") -> float:
        """Estimate the seconds until a run starts; NaN while nothing is known of the runs ahead.

        A run that trains says how long it will take; one that waits is expected to take as long as the last
        runs did, or as the one that trains now. No run takes longer than its limit.
        """
        with self._lock:
            ahead = self._runs[: self._runs.index(run)] if run in self._runs else []
            took = list(self._took)
        clocks = [other.clock() for other in ahead]
        took = took or [so_far + left for so_far, left in clocks if math.isfinite(so_far + left)]
        usual = statistics.fmean(took) if took else math.nan
        return sum(
            left
            if math.isfinite(left)
            else max(min(usual, other.limit) - (so_far if other.started else 0), 0.0)
            for other, (so_far, left) in zip(ahead, clocks)
        )

    def tab_of(self, visitor: str) -> str | None:
        """Return the tab from which a visitor's run waits or trains, or None."""
        with self._lock:
            return next((run.tab for run in self._runs if visitor and run.visitor == visitor), None)

    def find(self, visitor: str, tab: str) -> "Training | None":
        """Return a visitor's newest run from this tab that is not lost, or None."""
        with self._lock:
            mine = [run for run in (*self._over, *self._runs) if (run.visitor, run.tab) == (visitor, tab)]
        return next((run for run in reversed(mine) if not run.is_lost()), None)

    def stop(self, visitor: str, tab: str) -> None:
        """Stop a visitor's runs of one tab; they keep their result so far."""
        with self._lock:
            mine = [run for run in self._runs if (run.visitor, run.tab) == (visitor, tab)]
        for run in mine:
            run.stop()


QUEUE = TrainingQueue()
