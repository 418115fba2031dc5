"""Where a data set's file is: a path that was passed, the cache, a package, else a download that is checked and kept.

Nothing is ever half there: a download goes to a temporary file beside its place, is checked (length, SHA-256 where it
is known) and then renamed. Without network and without a copy, the error says what to pass instead.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import IO, Final

from editharness.errors import DataError, NotCachedError
from editharness.types import DatasetSpec, Source

Progress = Callable[[int, int | None], None]
"""Called with the bytes read so far and the bytes in all (None: unknown)."""

_CHUNK: Final = 1 << 18
_TIMEOUT_SECONDS: Final = 30.0
MAX_BYTES: Final = 1 << 30


def find(spec: DatasetSpec, path: Path | None, *, cache: Path, offline: bool, progress: Progress | None = None) -> Path:
    """The file of a data set; an explicit `path` wins, then the cache, package data, download. Raises DataError."""
    if path is not None:
        return _explicit(spec, path)
    for source in spec.sources:
        local = _local(spec, source, cache)
        if local is not None:
            return local
    failures: list[str] = []
    for source in spec.sources:
        if source.kind == "package":
            failures.append(f"{source.where} holds no {source.file}")
        elif offline:
            failures.append(f"offline, so {_address(source)} was not asked")
        else:
            try:
                return _fetch(spec, source, cache, progress)
            except NotCachedError as error:
                failures.append(str(error))
    reasons = "; ".join(failures) or "it names no source"
    raise NotCachedError(f"data set {spec.name!r} is not on this machine: pass --data {spec.name}=PATH ({reasons})")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _explicit(spec: DatasetSpec, path: Path) -> Path:
    if not path.exists():
        raise DataError(f"data set {spec.name!r}: {path}: no such file (from --data {spec.name}=PATH)")
    if path.is_dir():
        names = {source.file for source in spec.sources if source.file}
        inside = [path / name for name in sorted(names) if (path / name).is_file()]
        if not inside:
            raise DataError(f"data set {spec.name!r}: {path} is a folder; pass the file: --data {spec.name}=PATH")
        return inside[0]
    return path


def _address(source: Source) -> str:
    return source.where if source.kind == "url" else f"{source.where}/{source.file} on the hub"


def _local(spec: DatasetSpec, source: Source, cache: Path) -> Path | None:
    """The file if it is here: in the package, in the cache (and of the right content), in the hub's own cache."""
    if source.kind == "package":
        return _packaged(source)
    if source.kind == "hub":
        return _hub(spec, source, local=True)
    kept = _cached(spec, source, cache)
    good = kept.is_file() and (source.sha256 is None or file_sha256(kept) == source.sha256)
    return kept if good else None


def _packaged(source: Source) -> Path | None:
    try:
        found = Path(str(files(source.where).joinpath(source.file)))
    except ModuleNotFoundError:
        return None
    return found if found.is_file() else None


def _cached(spec: DatasetSpec, source: Source, cache: Path) -> Path:
    """One folder per address, so that a changed address never finds the old file."""
    name = PurePosixPath(source.file or urllib.parse.urlsplit(source.where).path).name or "data"
    return cache / "data" / spec.name / hashlib.sha256(source.where.encode()).hexdigest()[:12] / name


def _fetch(spec: DatasetSpec, source: Source, cache: Path, progress: Progress | None) -> Path:
    if source.kind == "hub":
        found = _hub(spec, source, local=False)
        if found is None:
            raise NotCachedError(f"{_address(source)} could not be had")
        return found
    return download(source.where, _cached(spec, source, cache), sha256=source.sha256, progress=progress)


def _hub(spec: DatasetSpec, source: Source, *, local: bool) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        found = Path(hf_hub_download(source.where, source.file, repo_type="dataset", local_files_only=local))
    except LocalEntryNotFoundError:
        return None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "no answer")
        raise NotCachedError(f"{_address(source)} answered {status}; a gated set needs `hf auth login`") from error
    except OSError as error:
        raise NotCachedError(f"{_address(source)} could not be reached ({error})") from error
    if source.sha256 is not None and file_sha256(found) != source.sha256:
        raise DataError(f"data set {spec.name!r}: {found} is not the file expected (SHA-256); delete it and try again")
    return found


def download(url: str, to: Path, *, sha256: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch a URL (http, https) into `to`; raises NotCachedError (no answer) or DataError (wrong content)."""
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise DataError(f"cannot download {url}: only http and https addresses")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.")
    except OSError as error:
        raise DataError(f"cannot write to the cache {to.parent} ({error.strerror}); set EDITHARNESS_CACHE") from error
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            found = _stream(url, file, progress)
        if sha256 is not None and found != sha256:
            raise DataError(f"{url}: not the file expected: SHA-256 {found[:12]}..., expected {sha256[:12]}...")
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
    return to


def _stream(url: str, file: IO[bytes], progress: Progress | None) -> str:
    """Copy a URL into an open file; returns the SHA-256."""
    digest, done = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "editharness"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            length = answer.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            while chunk := answer.read(_CHUNK):
                done += len(chunk)
                if done > MAX_BYTES:
                    raise DataError(f"{url}: larger than {MAX_BYTES:,} bytes")
                digest.update(chunk)
                file.write(chunk)
                if progress is not None:
                    progress(done, total)
    except urllib.error.HTTPError as error:
        error.close()
        raise NotCachedError(f"{url} answered {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        raise NotCachedError(f"{url} could not be reached ({getattr(error, 'reason', None) or error})") from error
    if total is not None and done != total:
        raise NotCachedError(f"{url} broke off after {done:,} of {total:,} bytes")
    return digest.hexdigest()
