"""What a photo costs from its file to its embedding, beside what a user could take instead, on one thread.

    python benchmarks/speed.py [--photos DIR_OR_ZIP] [--rounds 3] [--out docs/speed.json]

Detection, alignment and embedding together, for photos of 250 and 960 pixels and of 12 megapixels, each read
as its package reads it, and the network alone in PyTorch and ONNX Runtime. All that is compared runs in turn
in one process, and what is counted is its processor time: with one thread that is the time on an idle
machine, and other programs disturb it less. Photos are rendered portraits unless others are named. Needs the
extras `app`, `reference` and `onnx`.
"""

import argparse
import datetime
import importlib.metadata
import io
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dlib
import numpy as np
import onnxruntime
import torch
from facenet_pytorch import MTCNN, InceptionResnetV1
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from facelab.data.images import ImageFolder
from facelab.data.parametric import sample_identities
from facelab.models import checkpoint
from facelab.models.layers import fold_norms
from facelab.models.model import embed
from facelab.models.onnx_export import export_onnx
from facelab.models.zoo import DEFAULT_MODEL, find_checkpoint
from facelab.photos.faces import DETECTION_SIDE, align, find_faces, main_face, read_photo
from facelab.recognition import reference
from facelab.recognition.embedder import load
from facelab.ui.widgets.examples import portrait

PACKAGES = ("torch", "dlib-bin", "facenet-pytorch", "onnxruntime", "numpy", "pillow")
COUNTS = (1, 2, 8, 32, 128)  # images that the network is given at once
PEOPLE = 6

Task = Callable[[bytes], object]


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """Return the content of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def small_photos(source: str | None) -> list[bytes]:
    """Return photos of 250x250: rendered portraits, or an even sample of a folder or zip."""
    if source:
        folder = ImageFolder(source)
        return [folder.read(name) for name in folder.names[:: max(1, len(folder.names) // PEOPLE)][:PEOPLE]]
    people = sample_identities(PEOPLE, 5).split(1)
    faces = (portrait(person, {"yaw": 8.0}, 150) for person in people)
    out = []
    for face in faces:  # of the size that faces have in LFW
        canvas = Image.new("RGB", (250, 250), (120, 130, 140))
        canvas.paste(face, (50, 50))
        out.append(jpeg(canvas))
    return out


def enlarged(photo: bytes, width: int, height: int) -> bytes:
    """Return a photo enlarged onto a wider canvas, with noise, so that its file has a usual size."""
    canvas = Image.new("RGB", (width, height), (120, 130, 140))
    canvas.paste(Image.open(io.BytesIO(photo)).resize((height, height)), ((width - height) // 2, 0))
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 1)).astype(np.float32)
    return jpeg(Image.fromarray((np.asarray(canvas) + noise).clip(0, 255).astype(np.uint8)))


def facelab(model: str) -> Task:
    """Build our pipeline, as the page runs it for one photo."""
    embedder = load(model)

    def task(content: bytes) -> np.ndarray | None:
        photo = read_photo(content)
        faces = find_faces(photo)
        return embedder.embed(photo, [main_face(faces, photo)]) if faces else None

    return task


def facenet_detector_before(model: str) -> Task:
    """Build our pipeline with facenet-pytorch's own execution of MTCNN, as it was before `cascade.py`."""
    detector, network = MTCNN(keep_all=True, min_face_size=40), checkpoint.load(find_checkpoint(model))[0]

    def task(content: bytes) -> np.ndarray | None:
        photo = read_photo(content)
        image = Image.fromarray(photo.pixels)
        image.thumbnail((DETECTION_SIDE, DETECTION_SIDE), Image.Resampling.BILINEAR)
        _, _, points = detector.detect(image, landmarks=True)
        if points is None:
            return None
        crop = align(photo.pixels, points[0] * (photo.pixels.shape[1] / image.width))
        return embed(network, crop[None])

    return task


def dlib_hog() -> Task:
    """Build the pipeline of the package face_recognition: HOG at twice the size, 5 points, dlib's network."""
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(reference._weights("shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(reference._weights("dlib_face_recognition_resnet_model_v1.dat"))

    def task(content: bytes) -> object:
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        boxes = detector(pixels, 1)
        return network.compute_face_descriptor(pixels, predictor(pixels, boxes[0])) if len(boxes) else None

    return task


def facenet() -> Task:
    """Build facenet-pytorch's pipeline with random weights: its own are downloaded, and time is the same."""
    detector, network = MTCNN(), InceptionResnetV1(pretrained=None).eval()

    @torch.inference_mode()
    def task(content: bytes) -> object:
        crop = detector(Image.open(io.BytesIO(content)).convert("RGB"))
        return network(crop[None]) if crop is not None else None

    return task


def interleaved(tasks: dict[str, Callable[[], object]], times: dict[str, list[float]]) -> None:
    """Run each task once and append its processor time in ms."""
    for name, task in tasks.items():
        start = time.process_time()
        done = task()
        if done is not None:
            times[name].append(1000 * (time.process_time() - start))


def photo_rows(photos: dict[str, list[bytes]], rounds: int) -> dict[str, dict[str, float]]:
    """Measure each pipeline on each kind of photo -> {kind: {pipeline: median ms of a photo with a face}}."""
    pipelines = {
        f"facelab, {DEFAULT_MODEL}": facelab(DEFAULT_MODEL),
        "facelab, reference (dlib's network)": facelab(reference.NAME),
        f"facelab before, {DEFAULT_MODEL}": facenet_detector_before(DEFAULT_MODEL),
        "dlib: HOG, 5 points, its network": dlib_hog(),
        "facenet-pytorch: MTCNN, InceptionResnetV1": facenet(),
    }
    rows = {}
    for kind, files in photos.items():
        times: dict[str, list[float]] = {name: [] for name in pipelines}
        for number in range(rounds + 1):
            if number == 1:  # the first round warms up
                times = {name: [] for name in pipelines}
            for content in files:
                interleaved({name: lambda t=t, c=content: t(c) for name, t in pipelines.items()}, times)
        rows[kind] = {name: statistics.median(values) for name, values in times.items() if values}
    return rows


class Crops(CalibrationDataReader):
    """Batches from which the ranges of static quantization are measured."""

    def __init__(self, batches: list[np.ndarray]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch as the graph's input."""
        batch = next(self.batches, None)
        return None if batch is None else {"crops": batch}


def networks(crops: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Build the default network in each runtime: uint8 (N, 112, 112, 3) -> (N, D)."""
    plain, _, header = checkpoint.load(find_checkpoint(DEFAULT_MODEL))
    served = checkpoint.load(find_checkpoint(DEFAULT_MODEL))[0].eval()
    served.to(memory_format=torch.channels_last)
    fold_norms(served)
    out = {
        "PyTorch": lambda x: embed(plain, x, flip=False),
        "PyTorch, folded (served)": lambda x: embed(served, x, flip=False),
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / f"{name}.onnx") for name in ("fp32", "whole", "dynamic", "static")}
        export_onnx(files["fp32"], plain, header, DEFAULT_MODEL, flip=False, normalize=False)
        quant_pre_process(files["fp32"], files["whole"])
        quantize_dynamic(files["whole"], files["dynamic"], weight_type=QuantType.QUInt8)
        quantize_static(files["whole"], files["static"], Crops([as_input(crops)]), per_channel=True)
        for title, name in (("fp32", "fp32"), ("int8, dynamic", "dynamic"), ("int8, static", "static")):
            session = onnxruntime.InferenceSession(files[name], options, providers=["CPUExecutionProvider"])
            out[f"ONNX Runtime {title}"] = lambda x, s=session: s.run(None, {"crops": as_input(x)})[0]
    return out


def as_input(crops: np.ndarray) -> np.ndarray:
    """Convert uint8 (N, 112, 112, 3) -> float32 (N, 3, 112, 112) in [-1, 1]."""
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1


def network_rows(photos: list[bytes], rounds: int) -> dict[str, dict[str, float]]:
    """Measure the networks -> {count: {runtime: median ms}}, and {"smallest cosine": {runtime: value}}."""
    found = [find_faces(read_photo(content)) for content in photos]
    crops = np.stack([faces[0].crop for faces in found if faces])
    tasks = networks(crops)
    vectors = {name: task(crops) for name, task in tasks.items()}
    unit = {name: v / np.linalg.norm(v, axis=1, keepdims=True) for name, v in vectors.items()}
    rows: dict[str, dict[str, float]] = {}
    for count in COUNTS:
        batch = np.resize(crops, (count, *crops.shape[1:]))
        times: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(1 + max(3, rounds * 8 // count)):
            interleaved({name: lambda t=t, x=batch: t(x) for name, t in tasks.items()}, times)
        rows[str(count)] = {name: statistics.median(values[1:]) for name, values in times.items()}
    rows["smallest cosine"] = {name: float((v * unit["PyTorch"]).sum(1).min()) for name, v in unit.items()}
    return rows


def processor() -> str:
    """Return the processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())


def table(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print rows as columns, with ratios to the first line."""
    print(f"\n{title:<44}" + "".join(f"{kind:>20}" for kind in rows))
    for name in next(iter(rows.values())):
        cells = [(row[name], row[name] / next(iter(row.values()))) for row in rows.values() if name in row]
        print(f"{name:<44}" + "".join(f"{value:>12.2f} {ratio:5.2f}x " for value, ratio in cells))


def write(path: Path | None, said: dict[str, object]) -> None:
    """Bring the JSON file up to date, if one is named."""
    if path:
        before = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        path.write_text(json.dumps(before | said, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", help="folder or zip of photos instead of rendered portraits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file to write, or to bring up to date")
    parser.add_argument("--only", choices=("photo_ms", "network_ms"), help="one of the two tables")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # as the page runs
    small = small_photos(asked.photos)
    said = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "photos": Path(asked.photos).name if asked.photos else "rendered portraits",
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    if asked.only != "network_ms":
        kinds = {
            "250 px": small,
            "960 px": [enlarged(content, 960, 720) for content in small[:3]],
            "12 megapixels": [enlarged(content, 4000, 3000) for content in small[:1]],
        }
        said["photo_ms"] = photo_rows(kinds, asked.rounds)
        table("ms a photo, one thread", said["photo_ms"])
        write(asked.out, said)
    if asked.only != "photo_ms":
        said["network_ms"] = network_rows(small, asked.rounds)
        table(f"ms a batch, network {DEFAULT_MODEL}", said["network_ms"])
        write(asked.out, said)


if __name__ == "__main__":
    main()
