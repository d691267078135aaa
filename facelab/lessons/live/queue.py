"""Queue of live runs, and lookup of a visitor's run.

A visitor is identified by a name that only their browser tab holds. Finished runs stay here for `PATIENCE`
seconds unless their end was delivered, so that a page that is reloaded in the meantime still receives it.
"""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facelab.lessons.live.session import Training

PATIENCE = 20.0  # seconds without anyone asking for the next snapshot, after which a run is given up


class TrainingQueue:
    """Queue of the runs of this process in order of arrival; the first one trains."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[Training] = []
        self._over: list[Training] = []  # ended, and not told yet

    def join(self, run: "Training") -> None:
        """Add a run at the end; a run that is or was in the queue keeps its position."""
        with self._lock:
            if run not in self._runs and not run.started:
                self._runs.append(run)

    def leave(self, run: "Training", over: bool = False) -> None:
        """Remove a run, if present; a run that is `over` with a result can still be found."""
        with self._lock:
            self._runs = [other for other in self._runs if other is not run]
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
                self._runs.append(run)
            return self._runs.index(run)

    def has(self, visitor: str, tab: str) -> bool:
        """Return whether a run of a visitor's tab waits or trains."""
        with self._lock:
            return any((run.visitor, run.tab) == (visitor, tab) for run in self._runs)

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
