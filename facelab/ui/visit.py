"""Models of a visit on the page: kept in the visitor's session, offered in every choice of models.

A session's models are put in reach of its own events only (`uploads.Guarded`), so that every tab finds them
by name as it finds a shipped one, and other visitors find none. They go with the session, fifteen minutes
after its last event, and are overwritten then.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
from gradio.context import Context
from gradio.events import Dependency

from facelab.lessons.live.course import Result
from facelab.metrics.verification import cosine
from facelab.models.checkpoint import Header
from facelab.models.model import FaceModel, embed
from facelab.models.recipe import Recipe
from facelab.photos.faces import Face, Photo
from facelab.recognition.embedder import Embedder
from facelab.recognition.visit import HeldOut, Models, VisitModel, named
from facelab.ui.widgets.far import LOWEST

MOST, MOST_BYTES = 4, 256 * 2**20  # models of one visit, and their weights and embeddings; the oldest goes
QUIET = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
GONE = (
    "This model is not on the page (any more): yours go 15 minutes after your last step. Choose another in "
    "the list of models, or train or bring it again."
)
TRAIN_MORE = "its run held out too few pairs for one, so train on more people"
OPEN = """() => {
  document.querySelector('#fl-tabs [role=tab][data-tab-id="TAB"]').click();
  const press = (tries) => {
    const button = document.getElementById('TAB-arrival');
    if (button) button.click();
    else if (tries) setTimeout(() => press(tries - 1), 60);
  };
  press(300);
}"""


class ModelChoice(gr.Dropdown):
    """A choice of models whose list grows by those of the visit."""

    def preprocess(self, payload: Any) -> Any:
        """Return the chosen name.

        Raises:
            gr.Error: a name that this visit does not have, in one sentence that does not list the others.
        """
        try:
            return super().preprocess(payload)
        except gr.Error as error:
            raise gr.Error(GONE, print_exception=False) from error

    def postprocess(self, value: Any) -> Any:
        """Return the value; gradio would warn in the log, with its name, of a model of the visit."""
        return value

    def get_block_name(self) -> str:
        """Return the name of gradio's drop-down, which draws this one."""
        return "dropdown"


def state() -> gr.State:
    """Return the component that holds the models of a visit, one for the page that is being built."""
    page = Context.root_block
    if not hasattr(page, "visit_models"):
        page.visit_models = gr.State({}, delete_callback=forget)
        page.model_choices, page.model_events = [], []
    return page.visit_models


def changes(event: Dependency) -> None:
    """Register an event that changes the models of the visit, after which every choice is renewed."""
    state()
    Context.root_block.model_events.append(event)


def connect() -> None:
    """Update every choice of the page after every such event, once all tabs are built.

    A listener to the component of the models would not do: gradio does not call one for a change that another
    listener has made.
    """
    models, page = state(), Context.root_block
    choices = [choice for choice, _ in page.model_choices]

    def renew(models: Models, *chosen: str | None) -> list[Any]:
        return [new(models, value) for (_, new), value in zip(page.model_choices, chosen)]

    for event in page.model_events:
        event.then(renew, [models, *choices], choices, **QUIET)


def models_of(page: Any, session: Any) -> Models:
    """Return the models of a session of a page, none without a session."""
    kept = getattr(page, "visit_models", None)
    return {} if kept is None or session is None else session.state_data.get(kept._id) or {}


def forget(models: Models) -> None:
    """Overwrite the models of a visit that is over."""
    for model in models.values():
        model.forget()


def offered(
    dropdown: gr.Dropdown, label: Callable[[list[str]], list[Any]], only_networks: bool = False
) -> None:
    """Add the models of the visit to a choice, whenever there are others.

    Args:
        dropdown: opens on the shipped models.
        label: names -> choices.
        only_networks: leave out what is not a checkpoint of ours.
    """
    shipped = [value for _, value in dropdown.choices]

    def renew(models: Models, chosen: str) -> Any:
        own = [name for name, model in models.items() if model.network or not only_networks]
        names = [*shipped, *own]
        return gr.update(choices=label(names), value=chosen if chosen in names else shipped[0])

    state()
    Context.root_block.model_choices.append((dropdown, renew))


def own_choice(label: str, info: str, elem_id: str, fits: Callable[[VisitModel], bool]) -> gr.Dropdown:
    """Lay out a choice of the visit's models alone, which is not shown before there is one.

    Args:
        label, info, elem_id: of the choice.
        fits: which models it offers.
    """
    choice = ModelChoice([], label=label, info=info, elem_id=elem_id, visible=False, filterable=False)

    def renew(models: Models, chosen: str | None) -> Any:
        names = [name for name, model in models.items() if fits(model)]
        value = chosen if chosen in names else names[-1] if names else None
        return gr.update(choices=names, value=value, visible=bool(names))

    state()
    Context.root_block.model_choices.append((choice, renew))
    return choice


def handed_over(tab: str) -> gr.State:
    """Return the component through which another tab hands something over to this one."""
    page = Context.root_block
    if not hasattr(page, "handed_over"):
        page.handed_over = {}
    return page.handed_over.setdefault(tab, gr.State(None))


def arrival(tab: str) -> gr.Button:
    """Return the hidden button that is pressed once something has been handed over to this tab."""
    return gr.Button(visible="hidden", elem_id=f"{tab}-arrival")


class Given:
    """What Compare is to show: a model, -log10 of the lowest FAR that it has a threshold for, and photos."""

    def __init__(self, model: VisitModel) -> None:
        points = model.embedder.points
        self.name = model.name
        lowest = -math.log10(points.far[-1]) if points else LOWEST
        self.exponent = min(3.0, math.floor(lowest * 10 + 1e-6) / 10)
        faces = model.held_out.faces[:2] if model.held_out else ()
        self.photos = faces or (gr.skip(), gr.skip())  # which keeps those that are there


def added(models: Models, model: VisitModel) -> dict[str, VisitModel]:
    """Return the models with one more, the newest last; the oldest go if they are too many or too large."""
    kept = [*(other for name, other in models.items() if name != model.name), model][-MOST:]
    while len(kept) > 1 and sum(other.size for other in kept) > MOST_BYTES:
        kept = kept[1:]
    return {other.name: other for other in kept}


def title_of(recipe: Recipe) -> str:
    """Return the name of a training: its recipe in a few words."""
    if recipe.init_from:
        layers = (
            "head only" if recipe.freeze == "neck" else "all layers" if not recipe.freeze else "some layers"
        )
        return f"{recipe.init_from} fine-tuned, {layers}"
    return f"{recipe.backbone}, {recipe.loss}, {recipe.epochs} epoch{'s' * (recipe.epochs > 1)}"


def own_checkpoint(
    network: FaceModel, header: Header, said: str, remedy: str, held_out: HeldOut | None = None
) -> VisitModel:
    """Return a network of ours as a model of the visit.

    Args:
        network: in eval mode; a copy on the CPU is kept.
        header: its checkpoint's.
        said: where it comes from.
        remedy: what to do if it has no thresholds.
        held_out: what its run held out.
    """
    network = copy.deepcopy(network).cpu().eval()
    name = named(title_of(header.recipe), network)

    def embed_faces(photo: Photo, faces: list[Face]) -> np.ndarray:
        return embed(network, np.stack([face.crop for face in faces]))

    embedder = Embedder(name, embed_faces, cosine, "cosine similarity", header.operating_points, True, remedy)
    return VisitModel(embedder, said, network, header, held_out)


def on_trained(models: Models, result: Result | None) -> list[Any]:
    """Take a finished run in -> (models, the name of this one, the button that uses it)."""
    if result is None:
        return [gr.skip(), "", gr.update(interactive=False)]
    said = f"trained on this page, from {result.header.data}"
    model = own_checkpoint(result.model, result.header, said, TRAIN_MORE, result.held_out)
    return [added(models, model), model.name, gr.update(interactive=True)]


def use_button(result: gr.State, prefix: str) -> None:
    """Lay out the button that hands the network of a run over to Compare.

    Args:
        result: the component with the run's `Result`.
        prefix: of the button's id.
    """
    models, mine = state(), gr.State("")
    use = compare_button(mine, f"{prefix}-use")
    changes(result.change(on_trained, [models, result], [models, mine, use], **QUIET))


def compare_button(mine: gr.State, elem_id: str) -> gr.Button:
    """Lay out the button that opens Compare with a model of the visit.

    Args:
        mine: the component with the model's name.
        elem_id: of the button.
    """
    use = gr.Button("Use it in Compare", interactive=False, elem_id=elem_id)
    use.click(on_use, [state(), mine], handed_over("compare"), **QUIET).then(
        None, None, None, js=OPEN.replace("TAB", "compare"), api_visibility="private"
    )
    return use


def on_use(models: Models, name: str) -> Any:
    """Give a model of the visit to another tab."""
    if name not in models:
        raise gr.Error(GONE, print_exception=False)
    return Given(models[name])
