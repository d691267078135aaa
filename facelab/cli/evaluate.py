"""`python -m facelab evaluate | calibrate`: evaluate a model, and calibrate its thresholds."""

import json as jsonlib
import sys
from dataclasses import replace
from typing import Annotated, Any

from tyro.conf import arg

from facelab.cli.reports import (
    check_flags,
    print_all_pairs,
    print_classification,
    print_identification,
    print_pairs,
    print_templates,
)
from facelab.cli.terminal import CACHE, JOBS, on_device, usable
from facelab.data.images import printable
from facelab.data.pairs import read_people
from facelab.evaluation.evaluate import calibrate as calibrate_model
from facelab.evaluation.evaluate import embed_folder, evaluate_classes, evaluate_embeddings, read_embedded
from facelab.evaluation.evaluate import evaluate as evaluate_model
from facelab.evaluation.packed_pairs import evaluate_packed
from facelab.evaluation.protocols import judge_all_pairs, judge_identification
from facelab.evaluation.template_scores import evaluate_stored
from facelab.evaluation.templates import evaluate_templates
from facelab.models import checkpoint
from facelab.models.zoo import find_checkpoint
from facelab.recognition import reference
from facelab.recognition.embedder import reference_points_path

Model = Annotated[str, arg(metavar="MODEL")]


def evaluate(
    model: Annotated[str | None, arg(metavar="MODEL")] = None,
    /,
    images: str | None = None,
    pairs: str | None = None,
    all_pairs: bool = False,
    identify: bool = False,
    classify: bool = False,
    bin: str | None = None,
    templates: str | None = None,
    embeddings: str | None = None,
    aligned: bool = False,
    no_flip: bool = False,
    intervals: bool = False,
    subsets: bool = False,
    groups: str | None = None,
    against: str | None = None,
    save: str | None = None,
    jobs: int = JOBS,
    device: str = "auto",
    json: bool = False,
) -> None:
    """Evaluate a model: verification on a list of pairs or all pairs, identification, or classification.

    Args:
        model: A checkpoint's name or path, or `reference`.
        images: Folder or zip of photos, one folder per person.
        pairs: LFW's pairs.txt or its table, or text or CSV with `image1 image2 label` lines (LFW protocol).
        all_pairs: Verification on all pairs of the images, down to FAR 1e-6.
        identify: Identification. The first image of each person is the gallery, the others are probes; closed
            set, then open set with half of the people unenrolled.
        classify: Classification of the training identities in held-out aligned crops.
        bin: Pairs with crops of their own, 10-fold accuracy: InsightFace's lfw.bin, agedb_30.bin and others,
            or a .parquet with image1, image2 and label.
        templates: Templates, TAR at FAR 1e-6 to 1e-1: a folder with the lists of IJB-B, IJB-C or another set
            (name_5pts_score, face_tid_mid, template_pair_label); of images, or of stored --embeddings.
        embeddings: Embeddings of another program, evaluated instead of a model: .npz, .npy with a .csv beside
            it, or .parquet (docs/formats.md).
        aligned: The images are aligned 112x112 crops already.
        no_flip: Do not add the embedding of the mirrored crop.
        intervals: Add 95% bootstrap intervals.
        subsets: With --pairs, add the error rates by pose, low light, blur and face size.
        groups: With --pairs, FRR and FAR by group at one threshold: a CSV with a title line, whose first
            column names a photo or an identity and whose others are attributes.
        against: With --pairs, another model, or another file with --embeddings, on the same pairs: the
            differences, with 95% bootstrap intervals.
        save: Write the figures into the checkpoint's header under this name, e.g. lfw_view2.
        jobs: Number of parallel processes.
        device: Device that embeds: auto, cpu, cuda or cuda:N.
        json: Print one JSON object.
    """
    protocols = {"--pairs": pairs, "--all-pairs": all_pairs, "--identify": identify}
    protocols |= {"--classify": classify, "--bin": bin, "--templates": templates}
    check_flags(model, images, embeddings, save, subsets, against, groups, protocols)
    if save and model == reference.NAME:
        raise ValueError("--save writes into a checkpoint and the reference has none; leave it out")
    on, told = on_device(device)
    options = (aligned, usable(CACHE), jobs, told, not no_flip)
    if bin:
        report, show = evaluate_packed(model, bin, told, not no_flip, intervals, on), print_pairs
    elif templates:
        whole = (model, images, templates, aligned, jobs, told, not no_flip, on)
        report = evaluate_stored(embeddings, templates, told) if embeddings else evaluate_templates(*whole)
        show = print_templates
    elif pairs and embeddings:
        report, show = evaluate_embeddings(embeddings, pairs, intervals, against, groups), print_pairs
    elif pairs:
        report, show = (
            evaluate_model(model, images, pairs, *options, intervals, subsets, against, on, groups),
            print_pairs,
        )
    elif classify:
        report, show = evaluate_classes(model, images, usable(CACHE), told, on), print_classification
    else:
        embedded = (
            read_embedded(embeddings) if embeddings else embed_folder(model, images, *options, _say, on)
        )
        if all_pairs:
            report, show = judge_all_pairs(embedded, intervals), print_all_pairs
        else:
            report, show = judge_identification(embedded, intervals), print_identification
    failures = report.pop("failures")
    for sentence in (*report.pop("notes", ()), *(f"{printable(n)}: {why}" for n, why in failures.items())):
        _say(sentence)
    if save:
        _save(model, save, report)
    if json:
        print(jsonlib.dumps(report))
    else:
        show(report, len(failures))


def _save(model: str, title: str, report: dict[str, Any]) -> None:
    path = find_checkpoint(model)
    checkpoint.update_header(path, checkpoint.with_metrics(checkpoint.describe(path), title, report))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def calibrate(
    model: Model,
    /,
    images: str,
    people: str | None = None,
    title: str | None = None,
    aligned: bool = False,
    jobs: int = JOBS,
    device: str = "auto",
) -> None:
    """Calibrate a model's thresholds on unseen identities, and store them with the model.

    Args:
        model: A checkpoint's name or path, or `reference`.
        images: Folder or zip of photos, one folder per person.
        people: File with the names of the folders to use, in LFW's form.
        title: Name of this calibration set. Default: the file name.
        aligned: The images are aligned 112x112 crops already.
        jobs: Number of parallel processes.
        device: Device that embeds: auto, cpu, cuda or cuda:N.
    """
    names = read_people(people) if people else None
    on, told = on_device(device)
    options = (aligned, usable(CACHE), jobs, told, _say, on)
    points = calibrate_model(model, images, names, title, *options)
    if model == reference.NAME:
        reference_points_path().write_text(jsonlib.dumps(points.to_dict(), indent=1) + "\n", encoding="utf-8")
    else:
        path = find_checkpoint(model)
        checkpoint.update_header(path, replace(checkpoint.describe(path), operating_points=points))
    print(f"{model} on {points.source}: EER {points.eer:.4f} at {points.eer_threshold:.3f}")
    for far in (0.1, 0.01, 0.001):
        if points.covers(far):
            print(f"FAR {far:<6} threshold {points.threshold_for(far):.3f}, FRR {points.frr_for(far):.1%}")
