"""The glossary: each term with its symbol and a short definition, for the page and for docs/glossary.md.

Terms and symbols are those of the papers. `python -m facelab.lessons.glossary` prints the document; a test
holds that docs/glossary.md equals it.
"""

import functools
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """One entry.

    Attributes:
        name: the standard term, in lower case unless it is a name.
        means: its definition in one sentence of at most twenty words, without a full stop.
        symbol: its abbreviation or symbol; empty if there is none.
        written: further spellings that are marked on the page.
        room: heading of its section.
    """

    name: str
    means: str
    symbol: str = ""
    written: tuple[str, ...] = ()
    room: str = ""

    @property
    def title(self) -> str:
        """The name with its symbol: "equal error rate (EER)"."""
        return f"{self.name} ({self.symbol})" if self.symbol else self.name


def _room(room: str, *rows: tuple[str, str, str]) -> list[Term]:
    return [Term(name, means, symbol, room=room) for name, symbol, means in rows]


TERMS: tuple[Term, ...] = (
    *_room(
        "Verification (1:1)",
        ("embedding", "",
         "the D numbers that a network computes for a face; similar faces have similar ones"),
        ("cosine similarity", "cos θ",
         "the dot product of two embeddings divided by their norms, in [−1, 1]"),
        ("score", "", "the similarity of two faces: the cosine similarity of their embeddings"),
        ("threshold", "", "a pair is accepted when its score is at least this value"),
        ("decision", "", "accept or reject a pair, by comparing its score with the threshold"),
        ("genuine pair", "", "two photos of the same identity"),
        ("impostor pair", "", "two photos of different identities"),
        ("false accept rate", "FAR", "share of impostor pairs whose score reaches the threshold"),
        ("false reject rate", "FRR", "share of genuine pairs whose score is below the threshold"),
        ("true accept rate at a FAR", "TAR@FAR",
         "share of genuine pairs accepted at the threshold of that FAR"),
        ("equal error rate", "EER", "the error rate at the threshold where FAR equals FRR"),
        ("area under the ROC curve", "AUC",
         "probability that a genuine pair scores higher than an impostor pair"),
        ("P(same)", "", "calibrated probability that a pair is genuine, given its score and the prior"),
        ("50:50 prior", "", "genuine and impostor are assumed equally likely before the photos are seen"),
        ("reference", "",
         "the ResNet of dlib, trained on about 3 million faces; not part of FaceLab's training"),
    ),
    *_room(
        "Identification (1:N)",
        ("gallery", "", "the enrolled embeddings, each with a name"),
        ("probe", "", "the photo that is compared with the gallery (also: query)"),
        ("closed set", "",
         "every probe is assumed to show an enrolled person; the nearest identity is returned"),
        ("open set", "",
         "a probe may show an unenrolled person; below the threshold the answer is “unknown”"),
        ("detection and identification rate", "DIR",
         "share of enrolled probes whose nearest identity is right and reaches the threshold"),
        ("false positive identification rate", "FPIR",
         "share of unenrolled probes for which some identity is returned"),
        ("leave-one-out test", "", "each photo in turn is the probe, the others are the gallery"),
    ),
    *_room(
        "Classification and calibration",
        ("class", "K", "an identity that the classifier can output; K is their number"),
        ("logit", "z", "the output of the classifier for a class, before the softmax"),
        ("top-1 accuracy", "", "share of photos whose most probable class is right"),
        ("chance level", "1/K", "the accuracy of random guesses among K classes"),
        ("confidence", "", "the probability that the classifier assigns to its predicted class"),
        ("mean confidence", "",
         "confidence averaged over photos; equals the accuracy if calibrated on average"),
        ("overconfident", "", "the mean confidence is higher than the accuracy"),
        ("underconfident", "", "the mean confidence is lower than the accuracy"),
        ("expected calibration error", "ECE",
         "mean absolute difference of accuracy and confidence per bin, weighted by bin size"),
        ("negative log-likelihood", "NLL", "mean of −ln p of the right class; lower is better"),
        ("temperature scaling", "T", "divide all logits by one number T before the softmax"),
        ("label smoothing", "α",
         "spread the share α of the target's probability uniformly over all K classes"),
        ("overfit recipe", "", "no augmentation but flips and no weight decay, so that the network overfits"),
    ),
    *_room(
        "Losses and embedding space",
        ("class weight vector", "W_y", "the column of the classifier for class y, also called its prototype"),
        ("target logit", "", "the logit of the photo's own class"),
        ("margin", "m", "how much better the own class or the positive pair must be than the others"),
        ("scale", "s", "the factor of all cosines before the softmax"),
        ("anchor, positive, negative", "",
         "a photo, another of the same identity, and one of a different identity"),
        ("hard triplet", "", "a triplet whose negative is nearer to the anchor than its positive"),
        ("semi-hard triplet", "", "the negative is farther than the positive, but by less than the margin"),
        ("collapse", "", "all embeddings become equal, so the triplet loss stays at the margin"),
        ("score distributions", "", "the histograms of genuine and of impostor scores"),
        ("ranking error", "1 − AUC", "share of genuine-impostor combinations ranked in the wrong order"),
        ("intra-class angle", "", "mean angle between an embedding and the center of its class"),
        ("inter-class angle", "", "mean angle between a class center and the nearest other center"),
        ("separable", "", "a linear classifier can separate the classes"),
        ("discriminative", "", "intra-class distances are small compared with inter-class distances"),
        ("projection", "", "a map from D dimensions to 2, by PCA, t-SNE or UMAP; distances are distorted"),
    ),
    *_room(
        "Networks and training",
        ("backbone", "", "the convolutional layers that compute the feature map"),
        ("neck", "", "pooling and a linear layer: from the feature map to the embedding"),
        ("head", "", "the classifier or loss on the embedding; used in training only"),
        ("crop", "", "the aligned 112×112 face that is the input of the network"),
        ("feature map", "", "the C×H×W output of a stage; H×W are its spatial positions"),
        ("receptive field", "", "the input pixels that can change one value of a feature map"),
        ("MACs", "", "multiply-accumulate operations for one crop"),
        ("latency", "", "the time to embed one crop"),
        ("drop rate", "", "the probability that dropout sets a value to zero"),
        ("explained by neighbors", "R²",
         "variance of dropped values explained by the mean of their visible neighbors"),
        ("training accuracy", "", "top-1 accuracy on the training batches"),
        ("training identities", "", "identities whose photos the network was trained on"),
        ("unseen identities", "", "identities of which the network has seen no photo in training"),
        ("held-out photos", "", "photos of training identities that were not trained on"),
        ("distilled", "", "trained to reproduce the embeddings of another network, the teacher"),
        ("synthetic faces", "", "rendered or blended faces that show no real person"),
        ("initialization", "", "the weights before the first training step"),
    ),
)  # fmt: skip
WRITTEN = {  # spellings on the page that differ from name and symbol
    "genuine pairs": "genuine pair",
    "impostor pairs": "impostor pair",
    "embeddings": "embedding",
    "overconfidence": "overconfident",
    "ranking errors": "ranking error",
    "top-1": "top-1 accuracy",
}
HEAD = """# Glossary

The terms of the page, the command line and the documents, with the symbols of the papers.
"""


@functools.cache
def spellings() -> dict[str, Term]:
    """Return all spellings to mark on the page, with their terms: names, abbreviations and `WRITTEN`."""
    by_name = {term.name: term for term in TERMS}
    symbols = {term.symbol: term for term in TERMS if re.fullmatch(r"[A-Z@]{3,}", term.symbol)}
    return by_name | symbols | {text: by_name[name] for text, name in WRITTEN.items()}


def term(text: str) -> Term:
    """Return the entry of a name, an abbreviation or another spelling.

    Raises:
        KeyError: there is none.
    """
    return spellings()[text]


def as_markdown() -> str:
    """Return docs/glossary.md."""
    parts = [HEAD]
    for room in dict.fromkeys(entry.room for entry in TERMS):
        rows = [f"| {entry.title} | {entry.means} |" for entry in TERMS if entry.room == room]
        parts.append("\n".join((f"## {room}\n", "| Term | Definition |", "|---|---|", *rows, "")))
    return "\n".join(parts)


if __name__ == "__main__":
    print(as_markdown(), end="")
