"""Which runs to verify: folders, records, and zip files of submissions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from editharness.errors import RecordError
from editharness.store import find_records
from editharness.verifying.bundle import unpacked
from editharness.verifying.findings import Finding
from editharness.verifying.here import Here
from editharness.verifying.run import verify_run


@dataclass(frozen=True)
class Verified:
    """One record (or a zip or link that holds none) and what is wrong with it."""

    path: Path
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether there is no error; warnings may be."""
        return all(finding.level != "error" for finding in self.findings)


@dataclass(frozen=True)
class Again:
    """What to ask a model again: so many cases, drawn by a seed, and how far a log-likelihood may be off."""

    cases: int
    seed: int = 0
    tolerance: float = 0.02


def verify_all(paths: Sequence[Path], here: Here, again: Again | None = None) -> Iterator[Verified]:
    """Every record below `paths`, one after the other; RecordError where there is none at all.

    Links are never followed; each is an error of its own. A zip is unpacked for as long as it is looked at.
    """
    for path in paths:
        if path.suffix == ".zip" and path.is_file():
            yield from _zip(path, here, again)
            continue
        links = list(_links(path))
        yield from (Verified(link, (Finding("error", link, "", "a link: records are plain files"),)) for link in links)
        try:
            found = find_records([path])
        except RecordError:
            if links:
                continue
            raise
        yield from (_verified(record, here, again) for record in found)


def _verified(path: Path, here: Here, again: Again | None) -> Verified:
    """One record; a model is asked again only where all else is as it should be."""
    first = Verified(path, tuple(verify_run(path, here)))
    if again is None or not first.good:
        return first
    from editharness.verifying.rerun import rerun

    return replace(first, findings=(*first.findings, *rerun(path, here, again)))


def _zip(path: Path, here: Here, again: Again | None) -> Iterator[Verified]:
    try:
        with unpacked(path) as folder:
            for one in verify_all([folder], here, again):
                yield Verified(_inside(one.path, path, folder), tuple(_renamed(one.findings, path, folder)))
    except RecordError as error:
        yield Verified(path, (Finding("error", path, "", str(error).removeprefix(f"{path}: ")),))


def _renamed(findings: Sequence[Finding], path: Path, folder: Path) -> Iterator[Finding]:
    for finding in findings:
        yield replace(finding, path=_inside(finding.path, path, folder))


def _inside(file: Path, path: Path, folder: Path) -> Path:
    return path / file.relative_to(folder)


def _links(path: Path) -> Iterator[Path]:
    """Links below a folder, but for those in a run's own folder, of which `verify_run` tells."""
    if path.is_symlink():
        yield path
    for here, folders, files in os.walk(path, followlinks=False):
        run = "record.json" in files and not (Path(here) / "record.json").is_symlink()
        yield from (
            Path(here) / name for name in sorted([*folders, *files]) if (Path(here) / name).is_symlink() and not run
        )
