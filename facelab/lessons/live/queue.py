"""The line in which live runs wait, and where the page finds a visitor's run again.

A visitor is known by a name that only their own browser tab holds. Runs that have ended stay here for
`PATIENCE` seconds unless their end was told, so that a page that is loaded again just then still gets it.
"""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facelab.lessons.live.session import Training

PATIENCE = 20.0  # seconds without anyone asking for the next snapshot, after which a run is given up


class TrainingQueue:
    """The runs of this process in the order in which they came; the first one trains."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[Training] = []
        self._over: list[Training] = []  # ended, and not told yet

    def join(self, run: "Training") -> None:
        """Stand at the end; who has a place already, or has had their turn, keeps it."""
        with self._lock:
            if run not in self._runs and not run.started:
                self._runs.append(run)

    def leave(self, run: "Training", over: bool = False) -> None:
        """Make room, if it was there; a run that is `over` with something to tell can still be found."""
        with self._lock:
            self._runs = [other for other in self._runs if other is not run]
            if not over or run.is_lost():
                return
            self._over.append(run)
        timer = threading.Timer(PATIENCE, self.forget, [run])
        timer.daemon = True
        timer.start()

    def forget(self, run: "Training") -> None:
        """Hold a run that is over no longer."""
        with self._lock:
            self._over = [other for other in self._over if other is not run]

    def position(self, run: "Training") -> int:
        """How many are before it; those whom nobody follows any more are no longer counted."""
        with self._lock:
            self._runs = [r for r in self._runs if r is run or r.started or not r.is_abandoned()]
            if run not in self._runs:  # it was counted out, and is back
                self._runs.append(run)
            return self._runs.index(run)

    def has(self, visitor: str, tab: str) -> bool:
        """Whether a visitor's run from this tab waits or trains."""
        with self._lock:
            return any((run.visitor, run.tab) == (visitor, tab) for run in self._runs)

    def find(self, visitor: str, tab: str) -> "Training | None":
        """Return a visitor's newest run from this tab that is not given up, or None."""
        with self._lock:
            mine = [run for run in (*self._over, *self._runs) if (run.visitor, run.tab) == (visitor, tab)]
        return next((run for run in reversed(mine) if not run.is_lost()), None)

    def stop(self, visitor: str, tab: str) -> None:
        """Stop a visitor's runs of one tab; they keep what they have learned."""
        with self._lock:
            mine = [run for run in self._runs if (run.visitor, run.tab) == (visitor, tab)]
        for run in mine:
            run.stop()


QUEUE = TrainingQueue()
