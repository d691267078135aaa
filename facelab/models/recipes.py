"""RECIPES by name. Beside each: the command that runs it, how long that took and what it reached.

LFW figures are view 2, 6,000 pairs from the raw photos, flip-averaged; nothing was chosen by them.
"""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

from facelab.models.checkpoint import describe
from facelab.models.names import nearest
from facelab.models.recipe import Recipe

READERS = {  # of bytes; JSON may be in UTF-16 too, as some editors save it
    ".json": json.loads,
    ".toml": lambda data: tomllib.loads(data.decode("utf-8-sig")),
}

ZOO = Recipe(
    backbone="resnet_face",
    embedding_dim=128,
    held_out_images=0.1,
    random_erasing=0.2,
    epochs=16,
    batch_size=128,
    lr=0.5,  # He's initialization makes large weights, which a step of 0.1 hardly turns
)

# With a bias in the neck all embeddings go into a cone, where the margin costs least: 20 degrees to the own
# center, 21 to the next; TAR@FAR=0.01 on people held out falls from 0.470 to 0.400.
ARCFACE = replace(ZOO, neck_bias=False, loss="arcface", margin=0.3, scale=24.0, margin_warmup=800)

ARCHITECTURE = replace(ZOO, epochs=8)

STRONG = replace(
    ARCFACE,
    neck_bias=True,
    lr=0.1,
    margin_warmup=1500,
    loss_weight=0.3,
    epochs=9,
    held_out_images=0.0,
    teacher="teacher.npz",
    teacher_weight=20.0,
    unlabeled="blends",
)

NO_AUGMENTATION = replace(
    ZOO, lr=0.1, rotate=0.0, zoom=0.0, shift=0.0, jitter=0.0, gray=0.0, random_erasing=0.0
)

# Fewer photos of fewer people, so that overfitting shows: --data celeba_grey112.zip, with 40 % of everyone's
# photos held out, to judge confidence by.
STANDARD = replace(ZOO, held_out_images=0.4, batch_size=32, lr=0.1, epochs=10)
OVERFIT = replace(
    STANDARD,
    flip=False,
    rotate=0.0,
    zoom=0.0,
    shift=0.0,
    jitter=0.0,
    gray=0.0,
    random_erasing=0.0,
    weight_decay=0.0,
)

RECIPES: dict[str, Recipe] = {
    # python -m facelab train resnet_softmax --data celeba112.zip celeba_grey112.zip --out FILE.safetensors
    # 73 minutes on two busy cores in bf16 (seed 0): EER 0.161 on 56 held-out identities; LFW 0.879 ± 0.021,
    # EER 0.121, TAR@FAR=0.01 0.620.
    "resnet_softmax": Recipe(
        backbone="resnet_face", loss="softmax", label_smoothing=0.1, dropout=0.2, epochs=32
    ),
    # The zoo: one network, one budget; each row names what it changes. python -m facelab train NAME --data
    # celeba112.zip celeba_grey112.zip --out FILE.safetensors; with --compile, where there is a C++ compiler,
    # 16 epochs take 24 minutes on one core that has nothing else to do, and 47 on a busy one.
    # EER on 56 held-out identities 0.137; LFW 0.870, EER 0.127, TAR@FAR=0.01 0.565. With --seed 1: 0.138;
    # 0.868, 0.132, 0.578.
    "softmax": ZOO,
    # EER 0.162 held out; LFW 0.877, EER 0.123, TAR@FAR=0.01 0.552; the expected calibration error rises from
    # 0.044 to 0.158, see docs/findings.md.
    "label_smoothing": replace(ZOO, label_smoothing=0.1),
    # EER 0.125 held out; LFW 0.880, EER 0.120, TAR@FAR=0.01 0.547; expected calibration error 0.308.
    "online_label_smoothing": replace(ZOO, loss="online_label_smoothing"),
    "unaugmented": NO_AUGMENTATION,
    # Learned by heart: too sure (calibration error 0.075); smoothing with 0.03 mends that (0.039), with 0.1
    # it becomes too modest (0.131). EER held out 0.151, 0.186, 0.199.
    "undecayed": replace(NO_AUGMENTATION, weight_decay=0.0, epochs=12),
    "undecayed_smoothing_003": replace(NO_AUGMENTATION, weight_decay=0.0, epochs=12, label_smoothing=0.03),
    "undecayed_smoothing": replace(NO_AUGMENTATION, weight_decay=0.0, epochs=12, label_smoothing=0.1),
    "undecayed_online": replace(NO_AUGMENTATION, weight_decay=0.0, epochs=12, loss="online_label_smoothing"),
    # The calibration grid: two trainings that differ in what holds overfitting back, each with four amounts
    # of label smoothing and with learned targets.
    "standard": STANDARD,
    "standard_smoothing_003": replace(STANDARD, label_smoothing=0.03),
    "standard_smoothing_010": replace(STANDARD, label_smoothing=0.1),
    "standard_smoothing_020": replace(STANDARD, label_smoothing=0.2),
    "standard_online": replace(STANDARD, loss="online_label_smoothing"),
    "overfit": OVERFIT,
    "overfit_smoothing_003": replace(OVERFIT, label_smoothing=0.03),
    "overfit_smoothing_010": replace(OVERFIT, label_smoothing=0.1),
    "overfit_smoothing_020": replace(OVERFIT, label_smoothing=0.2),
    "overfit_online": replace(OVERFIT, loss="online_label_smoothing"),
    # EER 0.121 held out; LFW 0.874, EER 0.127, TAR@FAR=0.01 0.572. With --seed 1: 0.120; 0.869, 0.130, 0.590.
    "center": replace(ZOO, loss="center", center_weight=0.01),
    # EER 0.117 held out; LFW 0.892, EER 0.108, TAR@FAR=0.01 0.618.
    "a_softmax": replace(ZOO, loss="a_softmax"),
    # EER 0.139 held out; LFW 0.879, EER 0.122, TAR@FAR=0.01 0.583.
    "cosface": replace(ZOO, loss="cosface", margin=0.2, scale=24.0, margin_warmup=800),
    # EER 0.123 held out; LFW 0.883, EER 0.118, TAR@FAR=0.01 0.598. With --seed 1: 0.120; 0.887, 0.111, 0.608.
    "arcface": ARCFACE,
    # EER 0.152 held out; LFW 0.759, EER 0.246, TAR@FAR=0.01 0.114.
    "contrastive": replace(ZOO, loss="contrastive", images_per_identity=4),
    # EER 0.144 held out; LFW 0.796, EER 0.201, TAR@FAR=0.01 0.235.
    "pairwise": replace(ZOO, loss="pairwise", images_per_identity=4),
    # EER 0.134 held out; LFW 0.829, EER 0.170, TAR@FAR=0.01 0.382.
    "triplet": replace(ZOO, loss="triplet", images_per_identity=4),
    # EER 0.123 held out; LFW 0.870, EER 0.132, TAR@FAR=0.01 0.503.
    "softmax_contrastive": replace(ZOO, loss="softmax+contrastive", images_per_identity=4),
    # EER 0.131 held out; LFW 0.864, EER 0.137, TAR@FAR=0.01 0.545.
    "softmax_pairwise": replace(ZOO, loss="softmax+pairwise", images_per_identity=4),
    # EER 0.127 held out; LFW 0.872, EER 0.129, TAR@FAR=0.01 0.535.
    "softmax_triplet": replace(ZOO, loss="softmax+triplet", images_per_identity=4),
    # EER 0.133 held out, 66 % named rightly; LFW 0.868, EER 0.131, TAR@FAR=0.01 0.555.
    "dropout": replace(ZOO, dropout=0.4),
    # EER 0.136 held out, 67 % named rightly; LFW 0.872, EER 0.130, TAR@FAR=0.01 0.569.
    "dropout_maps": replace(ZOO, drop_block=0.1, drop_block_size=1),
    # EER 0.143 held out, 68 % named rightly; LFW 0.862, EER 0.141, TAR@FAR=0.01 0.546: in 16 epochs it costs.
    "drop_block": replace(ZOO, drop_block=0.1),
    # EER 0.162 held out, 66 % named rightly; LFW 0.860, EER 0.139, TAR@FAR=0.01 0.567.
    "drop_block_smoothing": replace(ZOO, drop_block=0.1, label_smoothing=0.1),
    # The strong one learns from the reference too, on photos and on 120,000 blends of them: training people
    # only. Before it, with the two archives as SOURCES: `data blend SOURCES --out blends.zip --count 120000`
    # (6 minutes), `embed reference celeba112.zip teacher.npz --also celeba_grey112.zip blends.zip --aligned`
    # (12 minutes on one core); then train all three with --data SOURCES blends.zip, each from where the last
    # stopped. The first saw 60,000 of the blends: 85 minutes on a core that it shared, EER 0.070 held out,
    # LFW 0.939; the second 96 minutes, 0.060, LFW 0.948.
    "strong_start": STRONG,
    "strong_second": replace(STRONG, init_from="strong_start.safetensors", lr=0.05, epochs=8),
    # 95 minutes. EER 0.060 held out, 0.048 on LFW view 1 (the second 0.053); LFW 0.951, EER 0.047,
    # TAR@FAR=0.01 0.874.
    "strong_plain": replace(STRONG, init_from="strong_second.safetensors", lr=0.15, epochs=8),
    # The same, whitened after its last step, which takes a minute. The power was chosen on 741 people of
    # celeba_more112, whom no stage has seen (EER 0.045 without, 0.040, 0.039, 0.042 with 0.1, 0.2, 0.3;
    # TAR@FAR=0.001 0.643, 0.696, 0.724, 0.738), and on the pairs of LFW view 1.
    # EER 0.060 held out, 0.038 on LFW view 1; LFW 0.961, EER 0.040, TAR@FAR=0.01 0.902.
    "strong": replace(STRONG, init_from="strong_second.safetensors", lr=0.15, epochs=8, whiten=0.2),
    # Architectures: half the budget, since some take twice as long; what differs is the network, and for the
    # two that cannot use SGD as it stands, the optimizer of their paper. 8 epochs took 13 (resnet) to 24
    # minutes on one core, with --compile, and efficientnet 46. LFW and TAR@FAR=0.01 stand beside each.
    "alexnet": replace(ARCHITECTURE, backbone="alexnet_face"),  # 0.844, 0.485
    "vgg": replace(ARCHITECTURE, backbone="vgg_face"),  # 0.866, 0.553
    "resnet": ARCHITECTURE,  # 0.837, 0.450
    "densenet": replace(ARCHITECTURE, backbone="densenet_face"),  # 0.858, 0.524
    "resnext": replace(ARCHITECTURE, backbone="resnext_face"),  # 0.837, 0.421
    "mobilenet": replace(ARCHITECTURE, backbone="mobilenet_face"),  # 0.857, 0.492
    "senet": replace(ARCHITECTURE, backbone="senet_face"),  # 0.815, 0.320
    "efficientnet": replace(ARCHITECTURE, backbone="efficientnet_face"),  # 0.857, 0.521
    "regnet": replace(ARCHITECTURE, backbone="regnet_face"),  # 0.835, 0.421
    "resnest": replace(ARCHITECTURE, backbone="resnest_face"),  # 0.854, 0.495
    # 0.806, 0.395
    "nfnet": replace(ARCHITECTURE, backbone="nfnet_face", grad_clip=0.0, clip_adaptive=0.02),
    # 0.805, 0.333
    "convnext": replace(
        ARCHITECTURE, backbone="convnext_face", optimizer="adamw", lr=2e-3, weight_decay=0.05
    ),
}  # fmt: skip


def find_recipe(name: str) -> Recipe:
    """A recipe by its name in RECIPES, from a .json or .toml file of its fields, or that of a checkpoint.

    Raises:
        ValueError: unknown name; or a file that is missing, cannot be read, or holds an unknown field.
    """
    path = Path(name)
    if name in RECIPES:
        return RECIPES[name]
    if path.suffix == ".safetensors":
        return describe(path).recipe
    if path.suffix not in READERS:
        raise ValueError(f"unknown recipe {name!r}: {nearest(name, RECIPES)}")
    values = _read_fields(path)
    if not isinstance(values, dict):
        raise ValueError(f"{name} holds no fields; it must be one table of recipe fields and values")
    try:
        return Recipe.from_dict(values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _read_fields(path: Path) -> object:
    """What a recipe file holds, if it is valid.

    Raises:
        ValueError: there is no such file, or it is neither text nor of its format.
    """
    try:
        return READERS[path.suffix](path.read_bytes())
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ValueError(
            f"{path} is no file; give a recipe's file, or one of: {', '.join(RECIPES)}"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # of either format
        raise ValueError(f"{path} is no valid {path.suffix[1:]} file: {error}") from error


def listing() -> str:
    """A line per recipe."""
    return "\n".join(
        f"  {name:<24}{recipe.backbone}, {recipe.loss}, {recipe.epochs} epochs"
        for name, recipe in RECIPES.items()
    )
