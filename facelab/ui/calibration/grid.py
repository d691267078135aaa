"""Find the training that a recipe and a label smoothing name, and the one that it is compared with.

The two controls of the tab span a grid of trainings; a measured checkpoint outside that grid gets a choice
of its own.
"""

from facelab.lessons.calibration import Calibration

RECIPES = {"overfit": True, "standard": False}  # in the order of the control; whether a lesson is overfit
ONLINE = "online"
OPENING = ("overfit", "0")
Lessons = dict[str, Calibration]  # by model
Seen = tuple[str, str]  # the models shown now and before; "" for none


def recipe_of(lesson: Calibration) -> str:
    """Return the recipe that a lesson was trained by: overfit or standard."""
    return next(name for name, overfit in RECIPES.items() if overfit == lesson.overfit)


def smoothing_of(lesson: Calibration) -> str:
    """Return its label smoothing as the control writes it: α, "online", or the model where it is neither."""
    if lesson.loss == "online_label_smoothing":
        return ONLINE
    return f"{lesson.label_smoothing:g}" if lesson.loss == "softmax" else lesson.model


def grid(lessons: Lessons) -> dict[tuple[str, str], Calibration]:
    """Return the lessons by (recipe, label smoothing); a second one of the same gets its model's name."""
    found: dict[tuple[str, str], Calibration] = {}
    for model, lesson in lessons.items():
        key = recipe_of(lesson), smoothing_of(lesson)
        found[key if key not in found else (key[0], model)] = lesson
    return found


def smoothings(lessons: Lessons) -> list[tuple[str, str]]:
    """Return (label, value) of the choices of label smoothing, in the order of the lessons."""
    values = dict.fromkeys(smoothing for _, smoothing in grid(lessons))
    return [(label(value), value) for value in values]


def label(smoothing: str) -> str:
    """Return the label of a label smoothing: a number is α."""
    if smoothing == ONLINE:
        return "online"
    return f"α = {smoothing}" if smoothing.replace(".", "").isdecimal() else smoothing


def name_of(lesson: Calibration) -> str:
    """Return the name of a training: its recipe and its targets."""
    return f"{recipe_of(lesson)}, {label(smoothing_of(lesson))}"


def opening(lessons: Lessons) -> tuple[str, str]:
    """Return the recipe and label smoothing that the tab opens on."""
    found = grid(lessons)
    return OPENING if OPENING in found else next(iter(found))


def follow(seen: Seen, model: str) -> Seen:
    """Return the models shown now and before, once a model is shown."""
    return seen if seen[0] == model else (model, seen[0])


def compared_with(lessons: Lessons, model: str, before: str, temperature: float) -> Calibration | None:
    """Return the training that stands as a ghost behind another, at T = 1.

    The one that was shown before; for the first one, that of its recipe without label smoothing. A training
    at another temperature is compared with itself.

    Args:
        lessons: by model.
        model: shown now.
        before: shown before, or "".
        temperature: in use.

    Returns:
        None where both would be the same.
    """
    if temperature != 1:
        return lessons[model]
    plain = grid(lessons).get((recipe_of(lessons[model]), "0"))
    other = lessons.get(before, plain)
    return None if other is None or other.model == model else other
