"""Closed-set figures against plain loops, scikit-learn and torchmetrics, with many ties."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from facelab.metrics.calibration import fit_temperature, softmax
from facelab.metrics.closed_set import classification_report, most_confused, top_k_accuracy


@st.composite
def tied_logits(draw):
    """(N, K) logits of four values, so that most rows tie, and labels."""
    n, classes, seed = draw(st.integers(1, 12)), draw(st.integers(1, 6)), draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, (n, classes)).astype(float), rng.integers(0, classes, n)


@given(tied_logits(), st.integers(1, 7))
def test_top_k_counts_what_a_stable_sort_puts_first(case, k):
    logits, labels = case
    hits = [y in sorted(range(len(row)), key=lambda c: -row[c])[:k] for row, y in zip(logits, labels)]
    assert top_k_accuracy(logits, labels, k) == pytest.approx(np.mean(hits))
    if k == 1:
        assert top_k_accuracy(logits, labels) == (logits.argmax(1) == labels).mean()


def test_top_k_equals_scikit_learn_and_torchmetrics_where_nothing_ties():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(400, 12)), rng.integers(0, 12, 400)
    for k in (1, 3, 5, 11):
        ours = top_k_accuracy(logits, labels, k)
        assert ours == pytest.approx(top_k_accuracy_score(labels, logits, k=k, labels=range(12)))
        theirs = multiclass_accuracy(torch.tensor(logits), torch.tensor(labels), 12, "micro", top_k=k)
        assert ours == pytest.approx(theirs.item(), abs=1e-6)
    assert top_k_accuracy(logits, labels, 99) == 1


@given(tied_logits())
def test_confusions_are_the_entries_off_the_diagonal_of_the_table(case):
    logits, labels = case
    table = np.zeros((logits.shape[1],) * 2, int)
    for true, row in zip(labels, logits):
        table[true, row.argmax()] += true != row.argmax()
    expected = [(i, j, int(n)) for (i, j), n in np.ndenumerate(table) if n]
    expected.sort(key=lambda row: (-row[2], row[0], row[1]))
    assert most_confused(logits, labels, 100) == expected
    assert most_confused(logits, labels, 2) == expected[:2]


def test_the_report_gathers_the_figures_and_scaling_mends_what_it_can():
    """Logits three times too large: T = 3 gives back those that the labels were drawn from."""
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1.5, (6000, 8))
    labels = np.array([rng.choice(8, p=p) for p in softmax(true)])
    report = classification_report(3 * true, labels)
    assert set(report) == {
        "top_1", "top_5", "ece", "mce", "brier", "nll", "temperature", "ece_after_temperature",
    }  # fmt: skip
    assert report["temperature"] == pytest.approx(3, rel=0.05)
    assert report["temperature"] == fit_temperature(3 * true, labels)
    assert report["ece_after_temperature"] < 0.02 < 0.15 < report["ece"] <= report["mce"]
    theirs = multiclass_calibration_error(torch.tensor(3 * true), torch.tensor(labels), 8, 15)
    assert report["ece"] == pytest.approx(theirs.item(), abs=1e-6)
    assert (report["top_1"], report["top_5"]) == tuple(top_k_accuracy(true, labels, k) for k in (1, 5))


@pytest.mark.parametrize(
    ("logits", "labels", "words"),
    [
        ([[1.0, 2.0]], [2], r"labels run from 2 to 2; they must lie in \[0, 2\)"),
        ([[1.0, 2.0]], [-1], "labels run from -1"),
        ([[1.0, 2.0]], [0.0], r"labels are float64; give integers in \[0, 2\)"),
        ([[1.0, np.nan]], [0], "logits hold NaN"),
        ([[1.0, 2.0]], [0, 1], r"shape \(1, 2\) and labels \(2,\)"),
        (np.empty((0, 3)), np.empty(0, int), r"shape \(0, 3\)"),
        ([1.0, 2.0], [0, 1], r"give \(N, K\) and \(N,\)"),
    ],
)
@pytest.mark.parametrize("function", [top_k_accuracy, most_confused, classification_report])
def test_what_is_no_logits_is_refused(function, logits, labels, words):
    with pytest.raises(ValueError, match=words):
        function(np.array(logits), np.array(labels))


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="k is 0; it must be 1 or more"):
        top_k_accuracy(np.eye(3), np.arange(3), 0)
