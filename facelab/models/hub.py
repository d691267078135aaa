"""Checkpoints on the Hugging Face Hub: `hf://owner/name`, `hf://owner/name@revision/file.safetensors`.

One .safetensors file is fetched into the cache and then read like any other: its header is checked against
its tensors before anything is built, and nothing of a repository is ever executed. The Hub's library shows
size and progress, reads HF_TOKEN and HF_ENDPOINT, and uses its cache where there is no connection.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from facelab import settings
from facelab.settings.extras import explained

PREFIX = "hf://"
FILE = "model.safetensors"  # what an address without a file means, if it is there
LARGEST = 2**31  # bytes; ours have 8 million
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
ADDRESS = re.compile(rf"({NAME}/{NAME})(?:@([^/@]+))?(?:/(.+))?")
ENDPOINT: str | None = None  # the library's own


@dataclass(frozen=True)
class Address:
    """A repository `owner/name`, a revision (None: the newest) and a file (None: the only one)."""

    repository: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        revision, file = f"@{self.revision}" if self.revision else "", f"/{self.file}" if self.file else ""
        return f"{PREFIX}{self.repository}{revision}{file}"


def parse(text: str) -> Address:
    """Read an address, with or without `hf://`.

    Raises:
        ValueError: it is none.
    """
    found = ADDRESS.fullmatch(text.removeprefix(PREFIX))
    if not found or (found[3] and not found[3].endswith(".safetensors")) or ".." in text:
        raise ValueError(
            f"{text[:80]!r} is not an address on the Hub; write hf://owner/name, hf://owner/name@revision or "
            "hf://owner/name/file.safetensors"
        )
    return Address(found[1], unquote(found[2]) if found[2] else None, found[3])


@contextlib.contextmanager
def _in_one_sentence(address: Address) -> Iterator[None]:
    """Convert the library's errors to one type.

    Raises:
        ValueError: no connection, no such thing on the Hub, or no right to it.
    """
    with explained():
        from huggingface_hub import errors
    try:
        yield
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise ValueError(
            f"the Hub has no repository {address.repository}, or the token in HF_TOKEN may not read it"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"{address.repository} has no revision {address.revision}") from error
    except errors.RemoteEntryNotFoundError as error:
        raise ValueError(f"{address.repository} has no file {address.file}") from error
    except errors.HfHubHTTPError as error:
        raise ValueError(f"the Hub answered {error.response.status_code} for {address}") from error
    except (OSError, errors.EntryNotFoundError) as error:
        raise ValueError(
            f"the Hub cannot be reached, and {address} is not in the cache; connect to the internet"
        ) from error


def download(address: Address) -> Path:
    """Fetch a checkpoint, or find it in the cache -> its file.

    Raises:
        ValueError: no connection, no such file, several of them, or one that is too large; in one sentence.
    """
    if address.file is None:
        address = Address(address.repository, address.revision, _only_file(address))
    with _in_one_sentence(address):
        return Path(_fetch(address))


def _fetch(address: Address) -> str:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    where = {"revision": address.revision, "cache_dir": settings.cache() / "hub", "endpoint": ENDPOINT}
    url = hf_hub_url(address.repository, address.file, revision=address.revision, endpoint=ENDPOINT)
    try:  # asked once: without a connection hf_hub_download says so five times, for 23 seconds
        size = get_hf_file_metadata(url, timeout=10, endpoint=ENDPOINT).size or 0
    except HfHubHTTPError:
        raise
    except Exception:
        return hf_hub_download(address.repository, address.file, local_files_only=True, **where)
    if size > LARGEST:
        raise ValueError(
            f"{address} has {size:,} bytes, too many or too few for a checkpoint of this project"
        )
    return hf_hub_download(address.repository, address.file, **where)


def _only_file(address: Address) -> str:
    """Return the file of a repository that contains one, or FILE."""
    with _in_one_sentence(address):
        from huggingface_hub import HfApi, try_to_load_from_cache
        from huggingface_hub.errors import HfHubHTTPError

        try:
            revision = address.revision or "main"
            asked = HfApi(ENDPOINT).model_info(address.repository, revision=revision, timeout=10)
            names = [file.rfilename for file in asked.siblings or ()]
        except HfHubHTTPError:
            raise
        except Exception as error:  # no connection, which the library below reports in its own way
            kept = try_to_load_from_cache(
                address.repository, FILE, settings.cache() / "hub", address.revision or "main"
            )
            if isinstance(kept, str):
                return FILE
            raise OSError from error
    found = [name for name in names if name.endswith(".safetensors")]
    if FILE in found or len(found) == 1:
        return FILE if FILE in found else found[0]
    said = f"holds {', '.join(sorted(found)[:8])}; name one" if found else "holds no .safetensors file"
    raise ValueError(f"{address.repository} {said}")


def push(repository: str, files: Mapping[str, bytes | Path], private: bool = False) -> str:
    """Write files into a repository, which is made if need be -> its address in a browser.

    Args:
        repository: owner/name.
        files: name: bytes, or the file that has them.
        private: of a new one.

    Raises:
        ValueError: no address, no connection, or no right to write there; in one sentence.
    """
    address = parse(repository)
    if address.revision or address.file:
        raise ValueError(f"{repository!r} names more than a repository; write owner/name")
    with _in_one_sentence(address):
        from huggingface_hub import CommitOperationAdd, HfApi

        hub = HfApi(ENDPOINT)
        try:
            url = hub.create_repo(address.repository, private=private or None, exist_ok=True)
            operations = [CommitOperationAdd(name, content) for name, content in files.items()]
            hub.create_commit(address.repository, operations, commit_message="Upload by facelab")
        except (OSError, ValueError):
            raise
        except Exception as error:  # no connection
            raise OSError from error
    return str(url)
