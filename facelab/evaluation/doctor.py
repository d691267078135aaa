"""Training doctor: what is wrong with a run, by its curves.

Each rule compares numbers of a run with numbers that a failure must show, e.g. a loss that stays at ln(C),
and reports what it saw with a remedy. A rule whose numbers were not logged says nothing, and nothing is
inferred from the look of a curve alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from facelab.evaluation.doctor_failures import FAILURES, Found
from facelab.evaluation.doctor_quality import QUALITY, no_validation
from facelab.evaluation.run_log import RunLog


@dataclass(frozen=True)
class Finding:
    """Say what is wrong with a run.

    Attributes:
        name: of the rule.
        title: of the failure, in a few words.
        saw: the numbers that show it, in a sentence.
        remedy: what to change, in a sentence.
    """

    name: str
    title: str
    saw: str
    remedy: str


def diagnose(log: RunLog) -> list[Finding]:
    """Return the findings on a run, the most basic first; none if no rule applies.

    Of the failures only the first is reported, and the quality of a run that failed is not judged: the other
    figures follow from it.
    """
    failure = next(_findings(FAILURES, log), None)
    if failure is None:
        return [*_findings(QUALITY, log)]
    return [failure, *_findings((no_validation,), log)]


def _findings(rules: tuple[Callable[[RunLog], Found], ...], log: RunLog) -> Iterator[Finding]:
    for rule in rules:
        if found := rule(log):
            yield Finding(rule.__name__, *found)
