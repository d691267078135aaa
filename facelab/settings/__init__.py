"""Settings from outside: the environment variables that FaceLab reads, each with its check.

This is the only module that reads them. A value is checked whenever it is read, and `check` reads them all,
so that a server with an invalid setting stops at its start with a message, not while visitors use it.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SWITCH = {"on": True, "1": True, "off": False, "0": False}


def _switch(text: str) -> bool:
    if text.lower() not in SWITCH:
        raise ValueError("it must be on or off")
    return SWITCH[text.lower()]


def _number(low: float, high: float, unit: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"it must be a number of {unit}" + (f" from {low:g} to {high:g}" if low else ""))
        return value

    return read


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 2**16):
        raise ValueError("it must be a number from 1 to 65535, e.g. PORT=8000")
    return int(text)


def _folder(text: str) -> Path:
    path = Path(os.path.expanduser(text))
    if not path.is_dir():
        raise ValueError("it must be a folder that exists")
    return path


def _address(text: str) -> str:
    if text != ":memory:" and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise ValueError("it must be an address such as http://localhost:6333, without a password in it")
    return text


def _repository(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+(@[^/@\s]+)?", text, re.ASCII):
        raise ValueError("it must be owner/name or owner/name@revision")
    return text


@dataclass(frozen=True)
class Setting:
    """One environment variable.

    Attributes:
        default: what applies without it, as text.
        meaning: what it does, as text.
        read: its text -> its value; a ValueError states the valid values.
    """

    default: str
    meaning: str
    read: Callable[[str], object]


SETTINGS = {
    "HOST": Setting("127.0.0.1; 0.0.0.0 where hosted", "The address to listen at.", str),
    "PORT": Setting("7860", "The port to listen at; 0 lets the system choose one.", _port),
    "FACELAB_HOSTED": Setting(
        "on with `SPACE_ID`, or where `HOST` is not this machine alone, else off",
        "Whether others reach the page: runs are shorter, and no folder of this machine is read.",
        _switch,
    ),
    "FACELAB_TRAINING": Setting("on", "Whether visitors may train.", _switch),
    "FACELAB_MAX_UPLOAD_MB": Setting(
        "25", "The largest upload, in megabytes.", _number(1, 1024, "megabytes")
    ),
    "FACELAB_CHECKPOINTS": Setting(
        "none", "A folder of further checkpoints, searched before the shipped ones.", _folder
    ),
    "FACELAB_HUB": Setting(
        "none",
        "A repository of the Hugging Face Hub, `owner/name`, for model names that no folder has.",
        _repository,
    ),
    "FACELAB_GALLERY_URL": Setting(
        "none",
        "The address of a Qdrant server, e.g. `http://localhost:6333`, on which `gallery` keeps galleries.",
        _address,
    ),
    "FACELAB_CACHE": Setting("~/.cache/facelab", "The folder of what commands keep between runs.", str),
    "FACELAB_CACHE_GB": Setting(
        "20", "Gigabytes that may be kept there.", _number(0, 1e6, "gigabytes")
    ),
}  # fmt: skip


def _value(name: str) -> object | None:
    """Return the value of a setting, or None if it is not set.

    Raises:
        ValueError: the message names the setting and its valid values.
    """
    text = os.environ.get(name)
    if text is None or not (text or name == "PORT"):  # an empty port is a slip, the others mean "not set"
        return None
    try:
        return SETTINGS[name].read(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text[:40]!r}; {error}") from None


def check() -> None:
    """Read every setting.

    Raises:
        ValueError: for the first invalid setting.
    """
    for name in SETTINGS:
        _value(name)


def host() -> str:
    """Return the address to listen on.

    A HOST that is not an address is ignored, because some shells set it to the machine's name.
    """
    try:
        return str(ipaddress.ip_address(str(_value("HOST"))))
    except ValueError:
        return "0.0.0.0" if _asked_to_host() else "127.0.0.1"


def port() -> int:
    """Return the port to listen on, 0 to 65535."""
    value = _value("PORT")
    return 7860 if value is None else int(value)


def _asked_to_host() -> bool:
    asked = _value("FACELAB_HOSTED")
    return "SPACE_ID" in os.environ if asked is None else bool(asked)


def hosted() -> bool:
    """Return whether others can reach this page; visitors may then not read this machine's folders or keep it
    busy.

    A page that listens beyond this machine is hosted unless FACELAB_HOSTED denies it.
    """
    if _value("FACELAB_HOSTED") is not None or _asked_to_host():
        return _asked_to_host()
    return not ipaddress.ip_address(host()).is_loopback


def training() -> bool:
    """Return whether visitors may train."""
    return _value("FACELAB_TRAINING") is not False


def max_upload_mb() -> float:
    """Return the size of the largest upload, in megabytes."""
    value = _value("FACELAB_MAX_UPLOAD_MB")
    return 25.0 if value is None else float(value)  # a 50-megapixel JPEG


def checkpoints() -> Path | None:
    """Return the folder of further checkpoints, or None."""
    return _value("FACELAB_CHECKPOINTS")


def hub() -> str | None:
    """Return the repository of further checkpoints, owner/name, or None."""
    return _value("FACELAB_HUB")


def gallery_url() -> str | None:
    """Return the address of the Qdrant server that keeps galleries, or None."""
    return _value("FACELAB_GALLERY_URL")


def cache() -> Path:
    """Return the cache folder of the commands; it need not exist."""
    return Path(os.path.expanduser(str(_value("FACELAB_CACHE") or "~/.cache/facelab")))


def cache_bytes() -> int:
    """Return the maximum number of bytes in the cache."""
    value = _value("FACELAB_CACHE_GB")
    return int((20.0 if value is None else float(value)) * 1e9)


def zero_gpu() -> bool:
    """Return whether this is a ZeroGPU Space, which lends a GPU to marked functions only.

    The Space sets the variable; it is read as its library reads it.
    """
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def table() -> str:
    """Return the settings as a Markdown table."""
    rows = [f"| `{name}` | {row.default} | {row.meaning} |" for name, row in SETTINGS.items()]
    return "\n".join(["| setting | without it | meaning |", "|---|---|---|", *rows])
