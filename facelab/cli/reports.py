"""Check of `evaluate`'s flags, and printed reports of each protocol."""

from typing import Any

from facelab.evaluation.conditions import THIRDS, TITLES, subset_rows
from facelab.evaluation.groups import group_rows
from facelab.metrics.verification import FARS

Report = dict[str, Any]


def check_flags(
    model: str | None,
    images: str | None,
    embeddings: str | None,
    save: str | None,
    subsets: bool,
    against: str | None,
    groups: str | None,
    protocols: dict[str, Any],
) -> None:
    """Raise a ValueError for flags that cannot be combined.

    Args:
        model, images, embeddings, save: flags, None if omitted.
        subsets: flag.
        against, groups: flags.
        protocols: flag of each protocol -> its value, false if omitted.

    Raises:
        ValueError: the message names the flag to add or to omit.
    """
    if embeddings and (model or images):
        raise ValueError("--embeddings is evaluated without a model; omit MODEL and --images")
    if embeddings and protocols["--classify"]:
        raise ValueError("--classify needs a checkpoint's classes; give MODEL and --images instead")
    if embeddings and save:
        raise ValueError("--save writes into a checkpoint and --embeddings has none; leave it out")
    if protocols["--bin"] and (images or embeddings or not model):
        raise ValueError("--bin brings its own crops; give MODEL, and omit --images and --embeddings")
    if not embeddings and not (model and (images or protocols["--bin"])):
        raise ValueError(
            "nothing to evaluate; give MODEL with --images FOLDER_OR_ZIP, or --embeddings FILE.npz"
        )
    if subsets and (embeddings or not protocols["--pairs"]):
        raise ValueError("--subsets needs the photos of a list; give MODEL with --images and --pairs")
    if against and not protocols["--pairs"]:
        raise ValueError("--against compares two models on a list; give --pairs")
    if groups and not protocols["--pairs"]:
        raise ValueError("--groups divides a list of pairs; give --pairs")
    given = [flag for flag, value in protocols.items() if value]
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(protocols)}, not {' and '.join(given) or 'none'}")


def print_pairs(report: Report, failures: int) -> None:
    """Print the figures of verification on a list."""
    why = f"{failures} photos show no face or cannot be read"
    print(f"{report['pairs']} pairs, {report['skipped']} skipped because {why}")
    print(f"accuracy      {report['accuracy']:.4f} ± {report['accuracy_std']:.4f}", end=" ")
    print("(standard deviation over folds)")
    print(f"accuracy_all  {report['accuracy_all']:.4f} with skipped pairs counted as wrong")
    _print_roc(report)
    _print_suspicious(report)
    if "difference" in report:
        _print_difference(report["difference"])
    if "groups" in report:
        _print_groups(report["groups"])
    if "subsets" in report:
        print("error rates in thirds of the pairs, by the worse photo; thresholds at FAR 1%")
        print(f"{'':<14}{'genuine pairs rejected':<27}impostor pairs accepted")
        print(f"{'':<14}" + "".join(f"{TITLES.get(third, third):<9}" for third in 2 * THIRDS))
        for name, rates in subset_rows(report["subsets"]):
            print(f"{name:<14}" + "".join(f"{rate:<9.1%}" for rate in rates))


def _print_groups(report: Report) -> None:
    print(f"errors by group at threshold {report['threshold']:.3f},", end=" ")
    print(f"set at FAR {report['far']:.1%} over all impostor pairs")
    rows = [("group", "FRR (95%, genuine pairs)", "FAR (95%, impostor pairs)", ""), *group_rows(report)]
    widths = [max(len(row[i]) for row in rows) + 2 for i in range(3)]
    for row in rows:
        print("".join(f"{cell:<{width}}" for cell, width in zip(row, widths)) + row[3])
    for attribute, count in report["mixed"].items():
        print(f"{attribute}: {count:,} impostor pairs between two groups are in none of them")
    for note in report["notes"]:
        print(note)


def print_templates(report: Report, failures: int) -> None:
    """Print verification of templates."""
    print(
        f"{report['images']:,} images in {report['templates']:,} templates, {failures} without an embedding"
    )
    pairs = f"{report['genuine_pairs']:,} genuine and {report['impostor_pairs']:,} impostor pairs"
    print(f"{pairs}, {report['skipped']:,} skipped")
    _print_roc(report)


def _print_suspicious(report: Report) -> None:
    """Print the number of pairs in the list without new information, if there are any."""
    words = {
        "self_pairs": "of an image with itself",
        "repeated_pairs": "that repeat an earlier pair",
        "contradicting_pairs": "with both labels",
    }
    found = [f"{report[name]} {said}" for name, said in words.items() if report[name]]
    if found:
        print(f"pairs of the list that tell nothing new: {', '.join(found)}; they count like the others")


def _print_difference(difference: Report) -> None:
    print(f"against {difference['against']} on the {difference['pairs']} pairs that both can score")
    rates = {f"TAR@FAR={far}": values for far, values in difference["tar_at_far"].items()}
    for name, (value, low, high) in ({"EER": difference["eer"], "AUC": difference["auc"]} | rates).items():
        print(f"{name:<13} {value:+.4f}  95%: {low:+.4f} to {high:+.4f}")


def print_all_pairs(report: Report, failures: int) -> None:
    """Print the figures of verification on all pairs, with the geometry."""
    _print_set(report, failures)
    print(f"{report['genuine_pairs']:,} genuine and {report['impostor_pairs']:,} impostor pairs")
    _print_roc(report)
    print(f"angle         {report['intra_class_angle']:.1f}° to the class center (intra-class),", end=" ")
    print(f"{report['inter_class_angle']:.1f}° between nearest centers")


def print_identification(report: Report, failures: int) -> None:
    """Print the closed-set and open-set figures of identification."""
    _print_set(report, failures)
    intervals = report.get("interval", {})
    print(f"closed set: {report['probes']:,} probes against {report['gallery']:,} people, one photo each")
    for name, words in (("rank_1", "rank 1"), ("rank_5", "rank 5")):
        print(f"{words:<14}{report[name]:.4f}{_between(intervals.get(name))}")
    opened = report["open_set"]
    print(
        f"open set: {opened['mated_probes']:,} mated and {opened['unmated_probes']:,} unmated probes", end=" "
    )
    print(f"against {opened['gallery']:,} people")
    for far, rate in opened["dir_at_far"].items():
        print(f"DIR@FAR={far:<5} {rate:.4f}")


def print_classification(report: Report, failures: int) -> None:
    """Print the closed-set figures of classification, with calibration."""
    print(f"{report['images']:,} crops of {report['identities']:,} people, {failures} could not be read")
    print(f"top 1         {report['top_1']:.4f}")
    print(f"top 5         {report['top_5']:.4f}")
    print(f"ECE           {report['ece']:.4f}, {report['ece_after_temperature']:.4f} at temperature", end=" ")
    print(f"{report['temperature']:.3f}, fitted to these crops")
    print(f"NLL           {report['nll']:.4f}")
    print(f"Brier         {report['brier']:.4f}")
    for name, other, count in report["most_confused"][:5]:
        print(f"{name} predicted as {other}: {count}")


def _print_set(report: Report, failures: int) -> None:
    print(f"{report['images']:,} images of {report['identities']:,} people,", end=" ")
    print(f"{failures} skipped because they show no face or cannot be read")


def _print_roc(report: Report) -> None:
    intervals = report.get("interval", {})
    print(f"EER           {report['eer']:.4f}{_between(intervals.get('eer'))}")
    print(f"AUC           {report['auc']:.4f}{_between(intervals.get('auc'))}")
    for far, tar in report["tar_at_far"].items():
        print(f"TAR@FAR={far:<5} {tar:.4f}{_between(intervals.get('tar_at_far', {}).get(far))}")
    missing = next((far for far in FARS if f"{far:g}" not in report["tar_at_far"]), None)
    if missing:
        print(f"TAR@FAR={missing:g} is left out: it needs {1 / missing:,.0f} impostor pairs or more")


def _between(interval: tuple[float, float] | None) -> str:
    return f"  95%: {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
