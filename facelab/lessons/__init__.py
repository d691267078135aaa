"""What the lessons show, measured once from the checkpoints and shipped under `checkpoints/lessons/`.

One module a lesson: how its file is made, what is in it, and how the page reads it. The files hold arrays
only; no name and no image of anybody is in them, and `python -m facelab lessons` writes them again.
"""

START_MODEL = "resnet_softmax"  # whose weights the shipped runs on few people began with
