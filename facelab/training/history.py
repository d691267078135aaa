"""History of a run: about a hundred rows of figures, which its checkpoint keeps.

A row holds the means of the steps since the last one, so that a long run takes no more room than a short
one. `facelab.evaluation.doctor` reads them.
"""

import math
from dataclasses import dataclass, field

ROWS = 100  # of a run
DIGITS = 6  # of a figure


@dataclass
class History:
    """Hold the rows so far, and the sums of the row that is not complete.

    Attributes:
        rows: figures by name: `step`, `epoch`, `lr`; the means of `loss`, `accuracy`, `norm` (of embeddings),
            `loss/PART`; and the validation figures of an epoch that ended in the row.
        sums: {name: (sum, count)} of the row that is not complete.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def add(self, figures: dict[str, float], parts: dict[str, float] | None = None) -> None:
        """Add the figures of one step, and its loss's parts by name; what is NaN is not counted."""
        for name, value in (
            figures | {f"loss/{name}": value for name, value in (parts or {}).items()}
        ).items():
            if not math.isnan(value):
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = (total + value, count + 1)

    def end_step(self, step: int, steps: int, figures: dict[str, float]) -> None:
        """Close the row if it is due.

        Args:
            step, steps: steps done, and total.
            figures: those of which the row keeps the last, e.g. the learning rate.
        """
        self.last |= {"step": step} | figures
        if step == steps or step % math.ceil(steps / ROWS) == 0:
            self.rows, self.sums, self.last = self.so_far(), {}, {}

    def so_far(self) -> list[dict[str, float]]:
        """Return all rows, the incomplete one included."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        row = {name: _short(value) for name, value in (self.last | means).items() if math.isfinite(value)}
        return [*self.rows, row] if row else list(self.rows)


def _short(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")
