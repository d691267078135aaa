"""Lay out the settings of a training, and compose the run from them."""

import html
from dataclasses import dataclass, fields

import gradio as gr

from facelab.lessons.family_tree import LIMIT, budget
from facelab.lessons.live.data import TrainingData, rendered
from facelab.lessons.live.script import Data
from facelab.lessons.live.settings import (
    Choice,
    check_faces,
    compose,
    limits,
    losses,
    networks,
    require_training,
)
from facelab.lessons.live.shipped_run import FACES, PEOPLE
from facelab.models.recipe import Recipe
from facelab.ui.links import Controls

SOURCES = [("synthetic identities", "rendered"), ("my photos", "photos")]
NO_PHOTOS = "No photos are added yet; add a zip below (one folder per person), or choose synthetic identities"
RATES = (0.003, 0.01, 0.03, 0.05, 0.1, 0.2)
BATCHES = (16, 32, 64)
DECAYS = (0.0, 5e-4, 5e-3)


@dataclass(frozen=True, eq=False)
class Planned:
    """Hold a run that may begin: recipe, data and label; `words` are the first three of `RunRow`."""

    recipe: Recipe
    pool: TrainingData
    words: tuple[str, str, str]

    @property
    def classes(self) -> int:
        """Return K, the identities that are not held out."""
        people = len(self.pool.data.identities)
        return people - max(2, round(self.recipe.held_out * people))


def chosen(values: tuple) -> tuple[str, int, int, Choice]:
    """Return (source, people, faces, choice) of the controls' values in order, with integers from sliders."""
    source, people, faces, *rest = values
    names = [field.name for field in fields(Choice)]
    whole = {"epochs", "batch_size", "seed"}
    kinds = {name: int(value) if name in whole else value for name, value in zip(names, rest)}
    return source, int(people), int(faces), Choice(**kinds)


def planned(album: TrainingData | None, values: tuple) -> Planned:
    """Return the run of these settings, not yet started.

    Raises:
        ValueError: one sentence that says what to change.
    """
    require_training()
    source, people, faces, choice = chosen(values)
    most = limits()
    recipe = compose(choice, most)
    what = f"{choice.backbone}, {choice.loss}, {', '.join(_changes(choice)) or 'default settings'}"
    if source == "photos":
        if album is None:
            raise ValueError(NO_PHOTOS)
        on = f"{album.source}: {len(album.data.identities)} people, {len(album.data)} faces"
        return Planned(recipe, album, (what, on, album.digest()))
    check_faces(people * faces, most)
    words = what, *rendered_words(people, faces, choice.seed)
    return Planned(recipe, rendered(people, faces, choice.seed), words)


def rendered_words(people: int, faces: int, seed: int) -> tuple[str, str]:
    """Return (description of the faces, the same with their seed)."""
    on = f"{people} synthetic identities × {faces}"
    return on, f"{on}, seed {seed}"


def _changes(choice: Choice) -> list[str]:
    """Return the other differences from the opening settings, as text."""
    start = Choice()
    return [
        f"{field.name.replace('_', ' ')} {getattr(choice, field.name):g}"
        for field in fields(Choice)
        if field.name not in ("backbone", "loss")
        and getattr(choice, field.name) != getattr(start, field.name)
    ]


def described(album: TrainingData | None, values: tuple) -> Data:
    """Return the data of these settings, for a script."""
    source, people, faces, _ = chosen(values)
    if source == "photos":
        return Data(photos=album.path if album else "my.zip", aligned=album is None or album.aligned)
    return Data(people, faces)


def budget_line(plan: Planned) -> str:
    """Return the parameters of a run against the homework's limit, and a link to the budget's parts."""
    recipe = plan.recipe
    found = budget(recipe.backbone, recipe.neck, recipe.embedding_dim, plan.classes)
    link = (
        f"?tab=architectures&network={recipe.backbone}&neck={recipe.neck}&dim={recipe.embedding_dim}&at=meter"
    )
    return (
        f'<p class="fl-small">{found.total / 1e6:.2f} M of the homework’s {LIMIT / 1e6:.0f} M parameters '
        f'with {plan.classes} classes. <a class="fl-go" href="{html.escape(link)}">Parameter budget</a></p>'
    )


def settings() -> Controls:
    """Lay the controls out; return them by name, in the order in which `chosen` reads them."""
    controls = _data() | _network()
    with gr.Accordion("Regularizers, batch and seed", open=False):
        controls |= _rest()
    order = ("data", "people", "faces", "backbone", "loss", "epochs", "batch", "rate", "dropout", "dropblock",
             "smoothing", "decay", "augment", "seed")  # fmt: skip
    return {name: controls[name] for name in order}


def _data() -> Controls:
    with gr.Row(elem_classes="fl-controls"):
        source = gr.Radio(SOURCES, value="rendered", label="Data", elem_id="train-data",
                          info="Synthetic faces show no real person.")  # fmt: skip
        people = gr.Slider(10, 400, value=PEOPLE, step=10, label="Synthetic identities",
                           elem_id="train-people", info="A tenth is held out.")  # fmt: skip
        faces = gr.Slider(4, 20, value=FACES, step=1, label="Faces per identity",
                          elem_id="train-faces", info="Pose, light and expression vary.")  # fmt: skip
    return {"data": source, "people": people, "faces": faces}


def _network() -> Controls:
    start = Choice()
    with gr.Row(elem_classes="fl-controls"):
        backbone = gr.Dropdown([(f"{name} ({said})", name) for name, said in networks().items()],
                               value=start.backbone, label="Backbone", filterable=False,
                               elem_id="train-backbone",
                               info="One compact network per family.")  # fmt: skip
        loss = gr.Dropdown(list(losses()), value=start.loss, label="Loss", filterable=False,
                           elem_id="train-loss", info="The function that training minimizes.")  # fmt: skip
    with gr.Row(elem_classes="fl-controls"):
        epochs = gr.Slider(1, limits().epochs, value=start.epochs, step=1, label="Epochs",
                           elem_id="train-epochs", info="Passes over all faces.")  # fmt: skip
        rate = gr.Dropdown(list(RATES), value=start.lr, label="Learning rate",
                           filterable=False, elem_id="train-rate",
                           info="Step size; too large and training diverges.")  # fmt: skip
    return {"backbone": backbone, "loss": loss, "epochs": epochs, "rate": rate}


def _rest() -> Controls:
    start = Choice()
    with gr.Row(elem_classes="fl-controls"):
        dropout = gr.Slider(0, 0.8, value=0.0, step=0.1, label="Dropout", elem_id="train-dropout",
                            info="Drop rate before the last layer.")  # fmt: skip
        block = gr.Slider(0, 0.5, value=0.0, step=0.05, label="DropBlock", elem_id="train-dropblock",
                          info="Final drop rate on feature maps.")  # fmt: skip
        smoothing = gr.Slider(0, 0.4, value=0.0, step=0.1, label="Label smoothing (α)",
                              elem_id="train-smoothing",
                              info="Probability mass spread over all K classes.")  # fmt: skip
    with gr.Row(elem_classes="fl-controls"):
        decay = gr.Dropdown(list(DECAYS), value=start.weight_decay, label="Weight decay", filterable=False,
                            elem_id="train-decay", info="Shrinks weights toward zero.")  # fmt: skip
        batch = gr.Dropdown(list(BATCHES), value=start.batch_size, label="Batch size", filterable=False,
                            elem_id="train-batch", info="Faces in one step.")  # fmt: skip
        seed = gr.Slider(0, 9, value=0, step=1, label="Seed", elem_id="train-seed",
                         info="Of faces, initialization and order.")  # fmt: skip
        augment = gr.Checkbox(start.augment, label="Data augmentation", elem_id="train-augment",
                              info="Random flips, rotations, shifts, colors and erasing.")  # fmt: skip
    return {"dropout": dropout, "dropblock": block, "smoothing": smoothing, "decay": decay, "batch": batch,
            "seed": seed, "augment": augment}  # fmt: skip
