"""The page of one model on the Hugging Face Hub: front matter that the Hub reads, and the header in words."""

import json

from facelab.evaluation.model_card import TEST, details, error_rates, settings_of
from facelab.models.checkpoint import Header

WEIGHTS = {"license": "other", "license_name": "celeba-non-commercial-research", "license_link": "LICENSE"}
USE = """
## Use

```python
import facelab

facelab.compare("a.jpg", "b.jpg", model="hf://{repository}", far=0.01)
```

The file is `.safetensors`; its header holds recipe, figures, thresholds and score histograms, and nothing
is unpickled or executed. It is meant for research and teaching: not for identifying people without their
consent, not for surveillance, and not for deciding anything about a person.
"""


def hub_card(
    name: str, repository: str, header: Header, license: dict[str, str], datasets: tuple[str, ...] = ()
) -> str:
    """Return the page in Markdown.

    Args:
        name: what the model is called.
        repository: owner/name.
        header: of its checkpoint.
        license: the keys of the front matter that say it.
        datasets: names of data sets on the Hub.
    """
    matter: dict[str, object] = {
        **license,
        "library_name": "facelab",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["face-recognition", "face-verification"],
    }
    if datasets:
        matter["datasets"] = list(datasets)
    if figures := _figures(header):
        matter |= {"metrics": ["accuracy"], "model-index": [{"name": name, "results": [figures]}]}
    front = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in matter.items())
    title = f"# {name}\n\nA face embedder of FaceLab: {details(header)}."
    table = "\n\n" + settings_of(name, header) + "\n" + error_rates({name: header})
    return f"---\n{front}\n---\n\n{title}{table}{USE.format(repository=repository)}"


def _figures(header: Header) -> dict[str, object] | None:
    """Return one result of a model index: LFW view 2, or None if it was not measured."""
    found = header.metrics.get(TEST)
    if not isinstance(found, dict):
        return None
    rates = {"accuracy": found["accuracy"], "EER": found["eer"]}
    rates |= {f"TAR@FAR={far}": rate for far, rate in found["tar_at_far"].items()}
    return {
        "task": {"type": "image-feature-extraction", "name": "Face verification"},
        "dataset": {"type": "lfw", "name": "LFW view 2"},
        "metrics": [
            {
                "type": "accuracy" if name == "accuracy" else name.lower(),
                "name": name,
                "value": round(rate, 4),
            }
            for name, rate in rates.items()
        ],
    }
