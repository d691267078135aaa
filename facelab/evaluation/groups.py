"""Errors by group: false rejects and false accepts among people of one kind, at one threshold for all.

A system that does not know who stands before it has one threshold, so groups are judged at the same one
(Grother et al. 2019, NISTIR 8280); a pair counts for a group if both of its photos do. What the table can
show is a difference between these photos; what it cannot is said in NOTES, with every table.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from facelab.data.identities import canonical, identify
from facelab.data.images import printable
from facelab.data.lists import read_rows
from facelab.data.matching import resolve
from facelab.data.pairs import Pairs
from facelab.evaluation.protocols import Embedded, score_pairs
from facelab.metrics.proportion import rate_interval
from facelab.metrics.verification import supported_fars, threshold_at_far

FARS = (0.001, 0.01, 0.1)  # the lowest that the list supports sets the threshold
FEW = 100  # trials below which a rate is called uncertain
MOST_GROUPS = 200
NOTES = (
    "One threshold for all groups, set on all impostor pairs of this list. A difference whose intervals do "
    "not overlap is unlikely to be due to chance for these photos.",
    "The table cannot show a cause: groups may differ in pose, light, age of the photos or camera. It does "
    "not carry over to other photos or another threshold, attributes are taken as the file gives them, and "
    "pairs that share photos make the true intervals wider.",
)


def read_groups(
    path: str | os.PathLike, names: Sequence[str], people: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """Read attributes by photo or by identity: a CSV with titles, whose first column names either.

    Args:
        path: the file, e.g. `name,sex,age` above one row for each photo or identity.
        names: of the photos that are judged.
        people: {photo: its identity} where that is known; None takes it from the names.

    Returns:
        {attribute: {photo: its group}}; photos without a value are in none.

    Raises:
        ValueError: no such table, no attribute, a row of another length, or names of other photos only.
    """
    title, rows = Path(path).name, read_rows(path, "photo or identity and attributes")
    head, body = [field.strip() for field in rows[0][1]], rows[1:]
    if len(head) < 2 or not body:
        raise ValueError(f"{title} needs a title line, e.g. name,group, and a row for each photo or identity")
    values: dict[str, list[str]] = {}
    for number, row in body:
        if len(row) != len(head):
            raise ValueError(f"{title}, line {number}: expected {len(head)} fields, got {len(row)}")
        if values.setdefault(canonical(row[0]), row[1:]) != row[1:]:
            raise ValueError(f"{title}, line {number}: {printable(row[0])} is described twice, differently")
    rows_of = _rows_of(values, names) if people is None else _rows_by(values, names, people)
    if not rows_of:
        raise ValueError(
            f"{title} names no photo or identity of the list (first: {printable(body[0][1][0])})"
        )
    return {
        attribute: {name: row[i] for name, row in rows_of.items() if row[i]}
        for i, attribute in enumerate(map(printable, head[1:]))
    }


def _rows_by(
    values: Mapping[str, list[str]], names: Sequence[str], people: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return {photo: its row}, by the photo's name or else by its known identity; by identities alone if the
    table names nothing else, since photos and identities of a file may both be called 0, 1, ....
    """
    who = {name: canonical(people.get(name, "")) for name in names}
    by_photo = not values.keys() <= {canonical(person) for person in people.values()}
    found = {name: (by_photo and values.get(canonical(name))) or values.get(who[name]) for name in names}
    return {name: row for name, row in found.items() if row}


def _rows_of(values: Mapping[str, list[str]], names: Sequence[str]) -> dict[str, list[str]]:
    """Return {photo: its row}, by the photo's own name or else by its identity's."""
    found = {name: values[canonical(name)] for name in names if canonical(name) in values}
    if len(found) < len(names):
        try:
            people = identify(sorted(set(names))).people
        except ValueError:  # nobody is to be told from these names
            people = {}
        by_person = {name: person for name, person in people.items() if person in values}
        found = {name: values[person] for name, person in by_person.items()} | found
    if not found:  # photos may be named in another way than the list's
        for key, row in values.items():
            try:
                found[resolve([key], names)[0]] = row
            except ValueError:
                continue
    return found


def judge_groups(
    embedded: Embedded, pairs: Pairs, names: Sequence[str], groups: Mapping[str, Mapping[str, str]]
) -> dict[str, object]:
    """Return FRR and FAR of each group at the list's own threshold.

    Args:
        embedded: the images' vectors.
        pairs: P pairs.
        names: 2P image names, of all first images and then of all second ones.
        groups: {attribute: {image: group}}.

    Returns:
        {"threshold", "far" (at which it was set), "attributes": {attribute: {group: {"frr", "far" (each None
        without a pair), "frr_interval", "far_interval", "genuine", "impostor" (how many pairs)}}}, "mixed":
        {attribute: impostor pairs between two groups}, "notes"}; the group "all" is every pair.

    Raises:
        ValueError: too few impostor pairs, or too many groups.
    """
    kept, scores = score_pairs(embedded, names)
    same, count = pairs.same[kept], len(pairs)
    far = next(iter(supported_fars(FARS, int((~same).sum()))), None)
    if far is None or not same.any():
        raise ValueError("errors by group need genuine pairs and at least ten impostor pairs in the list")
    threshold = threshold_at_far(scores[~same], far)
    accepted, report, mixed = scores >= threshold, {}, {}
    sides = [np.array(part, object)[kept] for part in (names[:count], names[count:])]
    for attribute, table in groups.items():
        first, second = (np.array([table.get(name, "") for name in side]) for side in sides)
        kinds = sorted(set(first) | set(second) - {""})
        kinds = [kind for kind in kinds if kind]
        if len(kinds) > MOST_GROUPS:
            raise ValueError(
                f"{attribute} has {len(kinds)} groups; {MOST_GROUPS} is the limit, so bin its values"
            )
        inside = {kind: (first == kind) & (second == kind) for kind in kinds}
        rows = {"all": np.ones(len(same), bool)} | inside
        report[attribute] = {kind: _errors(accepted[chosen], same[chosen]) for kind, chosen in rows.items()}
        mixed[attribute] = int(((first != second) & (first != "") & (second != "") & ~same).sum())
    return {
        "threshold": threshold, "far": far, "attributes": report, "mixed": mixed, "notes": list(NOTES),
    }  # fmt: skip


def _errors(accepted: np.ndarray, same: np.ndarray) -> dict[str, object]:
    genuine, impostor = int(same.sum()), int((~same).sum())
    rejected, let_in = int((~accepted[same]).sum()), int(accepted[~same].sum())
    return {
        "frr": rejected / genuine if genuine else None,
        "frr_interval": rate_interval(rejected, genuine) if genuine else None,
        "far": let_in / impostor if impostor else None,
        "far_interval": rate_interval(let_in, impostor) if impostor else None,
        "genuine": genuine,
        "impostor": impostor,
    }


def group_rows(report: Mapping[str, object]) -> list[tuple[str, str, str, str]]:
    """Return the table as text: (attribute and group, FRR, FAR, remark) a row."""
    rows = []
    for attribute, groups in report["attributes"].items():
        for group, found in groups.items():
            few = min(found["genuine"], found["impostor"]) < FEW
            remark = f"fewer than {FEW} pairs of a kind" if few else ""
            cells = (_cell(found, kind, count) for kind, count in (("frr", "genuine"), ("far", "impostor")))
            rows.append((f"{attribute}: {printable(group)}", *cells, remark))
    return rows


def _cell(found: Mapping[str, object], kind: str, count: str) -> str:
    if found[kind] is None:
        return "no pair"
    low, high = found[f"{kind}_interval"]
    return f"{found[kind]:.2%} ({low:.2%} to {high:.2%}, {found[count]:,})"
