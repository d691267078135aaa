"""RECIPES by name. Beside each: the command that runs it, how long that took and what it reached.

LFW figures are view 2, 6,000 pairs from the raw photos, flip-averaged; nothing was chosen by them.
"""

from facelab.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    # python -m facelab train resnet_softmax --data celeba112.zip celeba_grey112.zip --out FILE.safetensors
    # 73 minutes on two busy cores in bf16 (seed 0): EER 0.161 on 56 held-out identities; LFW 0.876 ± 0.017,
    # EER 0.121, TAR@FAR=0.01 0.611.
    "resnet_softmax": Recipe(
        backbone="resnet_face", loss="softmax", label_smoothing=0.1, dropout=0.2, epochs=32
    ),
}  # fmt: skip
