"""A run as a submission to the public boards: verified, copied into a folder of its own, and told in words.

leaderboards/results/<task>/<id>-<8 digits of the record's sha256>/   no two submissions share a path
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from editharness.errors import RecordError
from editharness.leaderboard.text import plain
from editharness.store import RunRecord, check_writable, find_records, read_record
from editharness.store.judgements import find_judgements
from editharness.store.write import RECORD
from editharness.verifying import Finding, Here, verify_run
from editharness.verifying.bundle import pack

RESULTS = Path("leaderboards") / "results"


@dataclass(frozen=True)
class Submission:
    """A verified run and where it goes below `leaderboards/results`; `doubts` are the warnings of its verification."""

    path: Path
    record: RunRecord
    place: Path
    doubts: tuple[Finding, ...] = ()

    @property
    def files(self) -> list[str]:
        """The names of the files that are submitted."""
        return sorted([RECORD, *self.record.files, *(path.name for path in find_judgements(self.path.parent))])


def prepare(path: Path, here: Here) -> tuple[Submission | None, list[Finding]]:
    """The run at `path` as a submission, and all findings; None where one of them is an error. RecordError: no run."""
    found = find_records([path])
    if len(found) > 1:
        raise RecordError(f"{path}: {len(found)} records stand below it: name the folder of one")
    findings = verify_run(found[0], here)
    if any(finding.level == "error" for finding in findings):
        return None, findings
    record = read_record(found[0])
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    place = Path(record.task) / f"{record.id}-{digest[:8]}"
    return Submission(found[0], record, place, tuple(findings)), findings


def write(submission: Submission, output: Path, *, zipped: bool = False) -> Path:
    """Copy the run's files below `output` (a checkout, or any folder), or into one zip there; returns what was made."""
    folder, names = submission.path.parent, submission.files
    if zipped:
        check_writable(output)
        target = output / f"{submission.record.task}-{submission.place.name}.zip"
        pack(folder, target, {f"{submission.place.as_posix()}/{name}": name for name in names})
        return target
    target = output / RESULTS / submission.place
    check_writable(target)
    for name in names:
        shutil.copyfile(folder / name, target / name)
    return target


def pull_request(submissions: Sequence[Submission]) -> str:
    """Title and text of the pull request that hands these runs in."""
    names = sorted({one.record.method.name for one in submissions})
    tasks = sorted({one.record.task for one in submissions})
    head = f"Results: {', '.join(names)} on {', '.join(tasks)}"
    parts = [head, *(_told(one) for one in submissions), _LAST]
    return "\n\n".join(parts)


_LAST = """\
Verified with `editharness verify`: every score follows from the answers beside it. These files are data only; nothing
in this pull request is code. I made these runs, and their answers were not edited."""


def _told(one: Submission) -> str:
    record, method = one.record, one.record.method
    preset = method.preset.name or "no preset"
    changed = f", with {', '.join(method.preset.overridden)} set otherwise" if method.preset.overridden else ""
    lines = [
        f"## {method.name} on {record.task}",
        f"- result: `{(RESULTS / one.place).as_posix()}`",
        f"- method: {method.title} ({method.paper}), from {_distribution(method.distribution, method.version)}",
        f"- options: {preset}{changed}" + ("" if method.preset.tuned else " (not tuned for this model)"),
        f"- model: {record.model.name}, weights {record.model.digest_before[:12]}, {record.model.dtype}",
        f"- data: {record.data.name} ({record.data.sha256[:12]}), {record.data.used} cases",
        f"- schedule: {record.schedule.asked}, {record.schedule.edits} edits, seed {record.schedule.seed}",
        *_score(record),
        f"- command: `{record.command}`",
        *(f"- {finding.level}: {finding.place}: {finding.problem}" for finding in one.doubts),
    ]
    return "\n".join(plain(line, 1000) for line in lines)


def _score(record: RunRecord) -> list[str]:
    row = next((row for row in record.rows if row.kind == "method"), None)
    cell = next((c for c in row.columns if c.name == record.protocol.ranked_by), None) if row else None
    if cell is None or cell.value is None or cell.low is None or cell.high is None:
        return []
    return [f"- {cell.name}: {100 * cell.value:.1f} [{100 * cell.low:.1f}, {100 * cell.high:.1f}] %, n = {cell.n}"]


def _distribution(name: str, version: str) -> str:
    """The distribution as one installs it, with its home page where it is installed here and names one."""
    told = f"`pip install {name}=={version}`"
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return told
    pages = [value.partition(",")[2].strip() for value in found.get_all("Project-URL") or []]
    page = next(iter([*pages, *(found.get_all("Home-page") or [])]), "")
    return f"{told}, {page}" if page else told
