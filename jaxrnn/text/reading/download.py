"""Corpora that are fetched once from the network and kept in the cache folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from jaxrnn.core.errors import InputError, installed

with installed():
    import pooch
    import requests


@dataclass(frozen=True)
class Download:
    """A file on the network: what it is called, where it is, and the SHA-256 it must have."""

    file: str
    base_url: str
    sha256: str


DOWNLOADS = {
    "tiny_shakespeare": Download(
        "input.txt",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "text8": Download(
        "text8.zip",
        "http://mattmahoney.net/dc/",
        "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
    ),
    "enwik8": Download(
        "enwik8.zip",
        "http://mattmahoney.net/dc/",
        "547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc",
    ),
}


def cache_folder() -> Path:
    """Where downloads and encodings are kept: `JAXRNN_CACHE`, else the user's cache folder."""
    given = os.environ.get("JAXRNN_CACHE")
    return Path(given).expanduser() if given else Path(pooch.os_cache("jaxrnn"))


def fetch(name: str) -> Path:
    """The local copy of one of `DOWNLOADS`, fetched if the cache has none with the right SHA-256.

    `JAXRNN_MIRROR`, if set, is the base URL under which all three files are looked for instead.
    A download that fails is tried three times. Raises `InputError` if it still fails or is not
    the file that was expected, or if the cache folder cannot be written; no partial file is left.
    """
    download = DOWNLOADS[name]
    base_url = os.environ.get("JAXRNN_MIRROR") or download.base_url
    url = base_url.rstrip("/") + "/" + download.file
    folder = cache_folder() / "downloads" / name
    shelf = pooch.create(
        path=folder,
        base_url="",
        registry={download.file: f"sha256:{download.sha256}"},
        urls={download.file: url},
        retry_if_failed=2,
    )
    try:
        return Path(shelf.fetch(download.file))
    except requests.RequestException as error:
        raise InputError(
            f"{name} could not be fetched from {url} ({_reason(error)}); check the network, or"
            f" put the file at {folder / download.file} by hand"
        ) from error
    except ValueError as error:  # pooch's word for a wrong hash
        raise InputError(
            f"what {url} serves is not {name}: its SHA-256 is not {download.sha256}; try again, or"
            f" put the right file at {folder / download.file} by hand"
        ) from error
    except OSError as error:
        raise InputError(
            f"the cache folder {folder} cannot be written ({error});"
            " set JAXRNN_CACHE to one that can"
        ) from error


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code}"
    return type(error).__name__
