"""Verification of one run, from its folder to the numbers of its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from editharness.config import RunConfig
from editharness.errors import EditHarnessError, RecordError
from editharness.store import RunRecord, Scores, read_scores
from editharness.store.fields import loads
from editharness.store.read import LARGEST_RECORD, bounded
from editharness.store.samples import EditLine, read_edits, read_samples
from editharness.store.write import EDITS, SAMPLES, SCORES
from editharness.verifying import answers as a
from editharness.verifying.config import read_config
from editharness.verifying.facts import check_facts, check_outcomes
from editharness.verifying.findings import Finding, few
from editharness.verifying.folder import check_folder
from editharness.verifying.here import Here
from editharness.verifying.installed import check_method, check_versions
from editharness.verifying.plan import Planned, plan_again
from editharness.verifying.scores import check_columns, check_numbers, check_rows, check_scores
from editharness.verifying.texts import check_texts

Checks = Iterator[Finding]


def verify_run(path: Path, here: Here) -> list[Finding]:
    """Everything that is wrong with the record at `path` and the files beside it; none: it is what it says.

    Nothing that stands in the files is run, and nothing outside of the folder is read but what plugins here offer.
    """
    try:
        if path.is_symlink():
            raise RecordError("is a link: a record is a plain file")
        raw = loads(bounded(path, LARGEST_RECORD))
        record = RunRecord.from_json(raw)
    except RecordError as error:
        return [_error(path, error)]
    return list(_verify(path, raw, record, here))


def _verify(path: Path, raw: Any, record: RunRecord, here: Here) -> Checks:
    folder = path.parent
    yield from few(check_texts(path, raw))
    yield from check_folder(path, record)
    yield from check_versions(path, record, here)
    config, wrong = _read(path, lambda: read_config(record.config.resolved))
    yield from wrong
    if config is not None:
        yield from check_facts(path, record, config)
        yield from check_method(path, record, config, here)
    scores, wrong = _read(folder / SCORES, lambda: _scores(folder))
    yield from wrong
    if scores is not None:
        yield from check_numbers(path, record, scores)
    edits, wrong = _read(folder / EDITS, lambda: read_edits(folder))
    yield from wrong
    if edits is not None:
        yield from check_outcomes(path, record, edits)
        yield from few(_reasons(folder, edits))
    problems = list(_unknown(path, record, here))
    yield from problems
    if config is not None and scores is not None and edits is not None and not problems:
        yield from _answers(path, record, config, scores, edits, here, lenient=raw["schema"] == 1)


def _answers(
    path: Path, record: RunRecord, config: RunConfig, scores: Scores, edits: list[EditLine], here: Here, *,
    lenient: bool,
) -> Checks:  # fmt: skip
    """From the plan to the answers, and from the answers to the scores."""
    folder = path.parent
    planned, wrong = _read(folder / SCORES, lambda: plan_again(record, config, list(scores.clusters), here))
    yield from wrong
    if planned is None:
        return
    yield from _planned(path, record, planned, edits)
    yield from check_rows(path, record, planned)
    nulls = a.null_answers(planned)
    joined, wrong = _read(folder / SAMPLES, lambda: a.join(planned, read_samples(folder), nulls))
    yield from wrong
    if joined is None:
        return
    yield from a.check_complete(folder, planned, joined, nulls)
    yield from a.check_texts_scored(folder, planned, joined)
    yield from a.check_nulls(folder, joined, nulls)
    again, wrong = _read(folder / SAMPLES, lambda: a.summarise(planned, a.answers_of(planned, joined)))
    yield from wrong
    if again is not None:
        kept = any(sample.forced for sample in joined.found.values())
        yield from check_columns(path, record, again)
        yield from check_scores(folder, scores, again, planned, lenient=lenient and not kept)


def _planned(path: Path, record: RunRecord, planned: Planned, edits: list[EditLine]) -> Checks:
    """The edits are those of the plan, each once and in order, and the record counts the data as it is."""
    own = planned.arms.get(record.method.name, {})
    wanted = [(arm, case, step) for arm, one in own.items() for case, step in one.step_of.items()]
    there = [(edit.arm, edit.case, edit.step) for edit in edits]
    if there != wanted:
        lacking = [one for one in wanted if one not in set(there)]
        what = f"{lacking[0]} is missing" if lacking else "some are written twice, or in another order"
        yield Finding("error", path.parent / EDITS, "", f"not the edits of this configuration: {what}")
    if str(planned.effective) != record.schedule.effective:
        problem = f"is {record.schedule.effective!r}, and the method gets {planned.effective}"
        yield Finding("error", path, "schedule.effective", problem)
    screened = bool(planned.protocol.screening())
    facts = {"selection": (record.data.selection, planned.selection.facts)}
    facts |= {} if screened else {"refused": (record.data.refused, planned.selection.refused)}
    for name, (said, known) in facts.items():
        if dict(said) != dict(known):
            yield Finding("error", path, f"data.{name}", f"is {dict(said)}, and of this data it is {dict(known)}")
    if planned.protocol.ranked_by != record.protocol.ranked_by:
        problem = f"is {record.protocol.ranked_by!r}, and the protocol says {planned.protocol.ranked_by!r}"
        yield Finding("error", path, "protocol.ranked_by", problem)


def _unknown(path: Path, record: RunRecord, here: Here) -> Checks:
    """Protocol and data are here and the same: without them nothing can be recomputed."""
    name, protocols = record.protocol.name, here.registry.protocols
    if name not in protocols:
        yield Finding("error", path, "protocol.name", f"no plugin here offers {name[:60]!r}: install the one that does")
    else:
        protocol = here.registry.resolve(protocols[name].spec.ref)()
        if (protocol.version, protocol.digest()) != (record.protocol.version, record.protocol.hash):
            problem = f"is not that of {name} version {protocol.version} here, {protocol.digest()[:12]}..."
            yield Finding("error", path, "protocol.hash", problem)
    try:
        data = here.cases(record.data.name)
    except EditHarnessError as error:
        yield _error(path, error, "data.name")
        return
    counted = {"sha256": (record.data.sha256, data.sha256), "cases": (record.data.cases, len(data.cases))}
    counted |= {"quirks": (dict(record.data.quirks), dict(data.quirks)), "skipped": (record.data.skipped, data.skipped)}
    for field, (said, known) in counted.items():
        if said != known:
            problem = f"is {str(said)[:60]!r}, and the data set here has {str(known)[:60]!r}"
            yield Finding(
                "error", path, f"data.{field}", f"{problem}: give that file with --data {record.data.name}=FILE"
            )


def _reasons(folder: Path, edits: list[EditLine]) -> Checks:
    for number, edit in enumerate(edits, 1):
        yield from check_texts(folder / EDITS, {f"line {number}.reason": edit.reason})


def _scores(folder: Path) -> Scores:
    found = read_scores(folder)
    if found is None:
        raise RecordError("missing, so that nothing can be recomputed")
    return found


def _read(path: Path, read: Callable[[], Any]) -> tuple[Any, list[Finding]]:
    """What `read` gives, or its complaint as a finding about `path`."""
    try:
        return read(), []
    except EditHarnessError as error:
        return None, [_error(path, error)]


def _error(path: Path, error: EditHarnessError, place: str = "") -> Finding:
    return Finding("error", path, place, str(error).removeprefix(f"{path}: "))
