"""Sixty ways to cheat or to break a submission: each is a line of `verify` that names it, none is a traceback."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.verifying.submission import Submission, committed

Tamper = Callable[[Submission], Any]
KINDS: dict[str, tuple[Tamper, str]] = {}
"""Name -> (what is done, what must be said). One that returns "raw" has written the record itself."""


def kind(name: str, said: str) -> Callable[[Tamper], Tamper]:
    def add(tamper: Tamper) -> Tamper:
        assert name not in KINDS
        KINDS[name] = (tamper, said)
        return tamper

    return add


def edited(name: str, said: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    """A kind that changes the record alone."""
    kind(name, said)(lambda s: edit(s.record) and None)


def relined(name: str, file: str, said: str, edit: Callable[[list[dict[str, Any]]], Any]) -> None:
    """A kind that changes the lines of a file and gives the record the hash that goes with it."""
    kind(name, said)(lambda s: s.change(file, edit))


SAMPLES, SCORES, EDITS = "samples.jsonl.gz", "scores.jsonl", "edits.jsonl"

# ---- numbers


@kind("edited score", r"rows\[\d\]\.columns\[0\].*the record says value 0\.99")
def _(s: Submission) -> None:
    s.column().update(value=0.99, high=1.0)


@kind("changed interval", r"the record says low")
def _(s: Submission) -> None:
    s.column()["low"] += 0.05


@kind("changed n", r"the record says n 51")
def _(s: Submission) -> None:
    s.column()["n"] += 1


@kind("score edited in the scores by case too", r"scores\.jsonl: row .*its answers give")
def _(s: Submission) -> None:
    def all_right(lines: list[dict[str, Any]]) -> None:
        line = next(line for line in lines if line.get("row") == "context")
        line["values"] = dict.fromkeys(line["values"], 1.0)

    s.change(SCORES, all_right)


def _exact(lines: list[dict[str, Any]], value: float) -> None:
    for line in lines:
        if line["row"] not in ("", "context", "constant", "echo", "target") and "exact" in line["scores"]:
            line["scores"]["exact"] = value


def _own(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["row"] == "ft-m"]


relined("exact match claimed of every answer", SAMPLES, "exact is 1, and the greedy text is", lambda x: _exact(x, 1.0))
relined("a likelihood above one", SAMPLES, "a log-likelihood above 0", lambda x: _own(x)[0]["scores"].update(logprob=5))
relined("a share of an exact match", SAMPLES, "exact match is 0 or 1", lambda x: _exact(x, 0.5))
relined(
    "a text that does not give its scores", SAMPLES, "and what stands there gives",
    lambda x: _own(x)[3].update(text=" Atlantis"),
)  # fmt: skip
relined("a column left out of the scores", SCORES, "is left out|the record says", lambda x: x.pop())
relined("a case left out of a column", SCORES, "is left out", lambda x: x[1]["values"].popitem())
relined("a column nobody shows", SCORES, "is in scores.jsonl and not here", lambda x: x.append({**x[1], "column": "z"}))
relined("a column twice", SCORES, "stands twice", lambda x: x.append(x[1]))
relined("cases under one subject", SCORES, "are not the cases of this run",
        lambda x: x[0].update(clusters=dict.fromkeys(x[0]["clusters"], "one")))  # fmt: skip

# ---- answers and edits


@kind("samples of another run", r"more than \d+ answers, and this run asks")
def _(s: Submission) -> None:
    s.put(SAMPLES, (committed("wild_pocket") / SAMPLES).read_bytes(), packed=False)


@kind("samples of the same method under another schedule", r"its answers give|row .*columns?")
def _(s: Submission) -> None:
    s.put(SAMPLES, (committed("modules_pocket", "batch:50") / SAMPLES).read_bytes(), packed=False)


@kind("swapped samples, hash not renewed", r"samples\.jsonl\.gz: is not the file that was written")
def _(s: Submission) -> None:
    (s.folder / SAMPLES).write_bytes((committed("wild_pocket") / SAMPLES).read_bytes())


def _swap(lines: list[dict[str, Any]]) -> None:
    a, b = _own(lines)[0], _own(lines)[1]
    a["text"], b["text"] = b["text"], a["text"]
    a["scores"], b["scores"] = b["scores"], a["scores"]


relined("answers of two cases swapped", SAMPLES, "what stands there gives|the greedy text is", _swap)
relined("dropped answers", SAMPLES, "has no answer: none may be left out", lambda x: x[:-7])
relined("a second attempt", SAMPLES, "answered a second time", lambda x: x.append({**_own(x)[0], "text": " Rome"}))
relined("an answer nobody asked for", SAMPLES, "nobody asked this", lambda x: x.append({**_own(x)[0], "item": 7}))
relined("a moment that is none", SAMPLES, "nobody asked this", lambda x: _own(x)[0].update(moment="later"))
relined("no answers at all", SAMPLES, "has no answer", lambda x: x.clear())
relined("a control that says something else", SAMPLES, "this control says",
        lambda x: next(line for line in x if line["row"] == "echo").update(text="Rome"))  # fmt: skip


def _better_control(lines: list[dict[str, Any]]) -> None:
    wrong = (line for line in lines if line["row"] == "constant" and not line["scores"]["decoded"])
    next(wrong)["scores"]["decoded"] = 1.0


relined("a control with better scores", SAMPLES, "has other scores than its text gives", _better_control)
relined("dropped failures", EDITS, r"statuses\.done: the record says 50, edits.jsonl has 47", lambda x: x[:-3])


@kind("dropped failures, counted as if", r"edits\.jsonl: not the edits of this configuration: .* is missing")
def _(s: Submission) -> None:
    s.change(EDITS, lambda lines: lines[:-3])
    s.record["statuses"]["done"] -= 3


@kind("duplicated cases", r"written twice|statuses\.done")
def _(s: Submission) -> None:
    s.change(EDITS, lambda lines: lines.append(lines[0]))


def _rename_first(lines: list[dict[str, Any]]) -> None:
    first = next(iter(lines[0]["clusters"]))
    for line in lines:
        values = line.get("values", line.get("clusters"))
        if first in values:
            values["pocket-easy-000"] = values.pop(first)


relined("cases of one's own", SCORES, "case 'pocket-easy-000' is none that this task can edit", _rename_first)
relined("cases in another order", SCORES, "not in the order, that this configuration gives",
        lambda x: x[0].update(clusters=dict(reversed(x[0]["clusters"].items()))))  # fmt: skip
edited("failures hidden in the counts", r"statuses\.failed", lambda r: r["statuses"].update(failed=4))
edited("a reason nobody gave", r"statuses\.reasons", lambda r: r["statuses"]["reasons"].update(luck=1))

# ---- controls, rows, columns

edited("a missing control", "row 'context' is missing: no board may lack a control",
       lambda r: r.update(rows=[row for row in r["rows"] if row["row"] != "context"]))  # fmt: skip
edited("no row of the method", "row 'ft-m' is missing", lambda r: r["rows"].pop())
edited("a control called a method", "is a control, not a method", lambda r: r["rows"][0].update(kind="method"))
edited("a row of one's own", "is none that this run makes",
       lambda r: r["rows"].append({**r["rows"][0], "row": "ours"}))  # fmt: skip
edited("a column under another name", "is none of this protocol|the record says",
       lambda r: r["rows"][0]["columns"][0].update(name="success"))  # fmt: skip
edited("a better title", "and the protocol says", lambda r: r["rows"][-1]["columns"][0].update(title="accuracy"))
edited(
    "the direction of a column", "and the protocol says", lambda r: r["rows"][-1]["columns"][0].update(better="lower")
)

# ---- who, what, under which settings

edited(
    "wrong data hash", r"data\.sha256: is .* give that file with --data", lambda r: r["data"].update(sha256="0" * 64)
)
edited("fewer cases in the data", r"data\.cases", lambda r: r["data"].update(cases=50))
edited("wrong protocol hash", r"protocol\.hash: is not that of modules", lambda r: r["protocol"].update(hash="1" * 64))
edited("a later protocol", r"protocol\.hash", lambda r: r["protocol"].update(version=9))
edited("another column to rank by", r"protocol\.ranked_by", lambda r: r["protocol"].update(ranked_by="free/decoded"))
edited("a protocol that nobody offers", "no plugin here offers|by the rest of the record",
       lambda r: r["protocol"].update(name="easy"))  # fmt: skip
edited("forged method version", r"method\.version: is 9\.9\.9, and versions\.editharness",
       lambda r: r["method"].update(version="9.9.9"))  # fmt: skip
edited("a version from the future", r"is later than the installed",
       lambda r: (r["method"].update(version="99.0"), r["versions"].update(editharness="99.0")))  # fmt: skip
edited(
    "a version that is none", r"versions\.torch: 'newest' is no version", lambda r: r["versions"].update(torch="newest")
)
edited("no versions", r"versions\.torch: missing", lambda r: r.update(versions={}))
edited("another distribution", r"method\.distribution", lambda r: r["method"].update(distribution="better-edits"))
edited("a method that nobody offers", r"no plugin here offers 'magic'", lambda r: r["method"].update(name="magic"))
edited("a method that sees less", r"method\.(sees|title)", lambda r: r["method"].update(sees=["old"]))
edited("changed options under the same id", r"method\.options: preset 'pocket' .* lr differ",
       lambda r: r["method"]["options"].update(lr=9.0))  # fmt: skip


@kind("preset 'paper' claimed with other options", r"method\.preset\.name: .*paper")
def _(s: Submission) -> None:
    s.record["method"]["preset"].update(name="paper")


@kind(
    "a preset asked for that this model has not", r"method\.preset\.name: preset 'paper' has no values for this model"
)
def _(s: Submission) -> None:
    s.reconfigure(preset="paper")


edited(
    "tuned claimed of an untuned source",
    r"method\.preset: is not what",
    lambda r: r["method"]["preset"].update(source="us"),
)
edited("overridden options not told", r"method\.preset\.overridden",
       lambda r: r["method"]["preset"].update(overridden=["lr"]))  # fmt: skip
edited("another configuration under the same id", r"id: this configuration makes the id",
       lambda r: r["config"]["resolved"].update(seed=3))  # fmt: skip
edited("a seed that was not typed", r"schedule\.seed: is 1", lambda r: r["schedule"].update(seed=1))
edited("more edits claimed", r"schedule\.edits: is 5000", lambda r: r["schedule"].update(edits=5000))
edited("another schedule claimed", r"schedule\.effective: is 'all'", lambda r: r["schedule"].update(effective="all"))
edited("partial not told", r"partial: is True", lambda r: r.update(partial=True))
edited("another command", r"command: is ", lambda r: r.update(command="editharness eval --method magic"))
edited(
    "a setting of one's own",
    r"config\.resolved\.luck: is not a field",
    lambda r: r["config"]["resolved"].update(luck=1),
)
edited("another model than was typed", r"model\.name", lambda r: r["model"].update(name="gpt-5"))
edited("forged digest_after", r"model\.digest_after: the model was not left as it was found",
       lambda r: r["model"].update(digest_after="f" * 64))  # fmt: skip
edited(
    "a digest that is none",
    r"model\.digest_before: is no sha256",
    lambda r: r["model"].update(digest_before="trust me"),
)
edited("seconds below zero", r"cost\.seconds: -5 seconds", lambda r: r["cost"].update(seconds=-5.0))
edited("seconds made fewer", r"cost\.seconds: is 1e-05, and the phases", lambda r: r["cost"].update(seconds=0.00001))
edited("editing slower than the run", r"cost\.seconds_per_edit", lambda r: r["cost"].update(seconds_per_edit=1e6))
edited("memory of another world", r"cost\.peak_memory_bytes", lambda r: r["cost"].update(peak_memory_bytes=2**60))
edited(
    "a time to come",
    r"created: 2999-01-01T00:00:00Z lies in the future",
    lambda r: r.update(created="2999-01-01T00:00:00Z"),
)
edited("no possible time", r"created: is no possible time", lambda r: r.update(created="2026-99-99T00:00:00Z"))

# ---- texts

edited("HTML in a note", r"notes\[0\]: looks like HTML", lambda r: r.update(notes=["<img src=x onerror=alert(1)>"]))
edited("HTML in a title", r"method\.title", lambda r: r["method"].update(title="<script>alert(1)</script>"))
edited("a name that acts on a terminal", r"model\.architecture: holds characters that act on a terminal",
       lambda r: r["model"].update(architecture="\x1b[2J\x1b]0;owned\x07"))  # fmt: skip
edited("a field that acts on a terminal", r"acts? on a terminal", lambda r: r["versions"].update({"\x1b[31mred": "1"}))
edited("writing turned round", r"notes\[0\]: holds characters", lambda r: r.update(notes=["abc \u202e cba"]))
edited(
    "a folder of the author's disk",
    r"notes\[0\]: names a folder of a disk",
    lambda r: r.update(notes=["/home/ann/x/y"]),
)
edited("an endless text", r"notes\[0\]: a text of 30000 characters", lambda r: r.update(notes=["x" * 30_000]))
relined("a folder in a reason", EDITS, r"names a folder of a disk|statuses\.reasons",
        lambda x: x[0].update(reason="no such file: /home/ann/secret/a.txt"))  # fmt: skip

# ---- JSON that is none

edited("a field that the schema does not have", r"record\.json: bonus: is not a field", lambda r: r.update(bonus=1))
edited("a missing field", r"record\.json: cost: missing", lambda r: r.pop("cost"))
edited("a number as text", r"value: must be a number, not text", lambda r: r["rows"][0]["columns"][0].update(value="1"))
edited("a list for an object", r"method: must be an object, not a list", lambda r: r.update(method=[]))
edited("a huge number", r"n: is too large a number", lambda r: r["rows"][0]["columns"][0].update(n=10**30))
edited("a row twice", r"stands twice", lambda r: r["rows"].append(r["rows"][0]))
edited("a schema of another time", r"schema: 7 cannot be read here", lambda r: r.update(schema=7))
edited("an id that leaves the folder", r"run id '\.\./\.\./x'", lambda r: r.update(id="../../x"))
edited(
    "a file outside the folder",
    r"files\.\.\./\.\./secret: not one of",
    lambda r: r["files"].update({"../../secret": "0" * 64}),
)
edited("a file that is not named", r"files: scores\.jsonl is not named", lambda r: r["files"].pop("scores.jsonl"))


def raw(name: str, said: str, content: Callable[[str], bytes]) -> None:
    """A kind that writes bytes of its own in the record's place."""

    def write(s: Submission) -> str:
        s.path.write_bytes(content(json.dumps(s.record)))
        return "raw"

    kind(name, said)(write)


raw("NaN", "NaN is not a finite number", lambda text: text.replace('"value": 1.0', '"value": NaN').encode())
raw("infinity", "1e999 is not a finite number", lambda text: text.replace('"value": 1.0', '"value": 1e999').encode())
raw("a field twice", "a field stands twice", lambda text: text.replace("{", '{"partial": true, ', 1).encode())
raw("deep JSON", "nested deeper than 24 levels", lambda text: b"[" * 1000 + b"]" * 1000)
raw("bottomless JSON", "nested deeper|not JSON", lambda text: b"[" * 10**6)
raw("UTF-16", "not UTF-8", lambda text: text.encode("utf-16"))
raw("Latin-1", "not UTF-8", lambda text: text.replace("editharness eval", "éditharness eval").encode("latin-1"))
raw("half a character", "half a character", lambda text: text.replace('"notes": []', '"notes": ["\\ud83d"]').encode())
raw("a truncated record", "not JSON", lambda text: text[: len(text) // 2].encode())
raw("no record", "not JSON", lambda text: b"")
raw("a record of many megabytes", "larger than 4 MiB", lambda text: text.encode() + b" " * 2**23)

# ---- files that are none


@kind("truncated gzip", r"samples\.jsonl\.gz: not a whole gzip file")
def _(s: Submission) -> None:
    s.put(SAMPLES, (s.folder / SAMPLES).read_bytes()[:3000], packed=False)


@kind("no gzip", r"samples\.jsonl\.gz: not a whole gzip file")
def _(s: Submission) -> None:
    s.put(SAMPLES, b"hello", packed=False)


@kind("gzip bomb", r"samples\.jsonl\.gz: a line is longer than 1 MiB")
def _(s: Submission) -> None:
    s.put(SAMPLES, gzip.compress(b" " * 2**26), packed=False)


@kind("endless answers", r"more than \d+ answers, and this run asks")
def _(s: Submission) -> None:
    s.change(SAMPLES, lambda lines: lines * 9)


@kind("a missing file", r"scores\.jsonl: missing")
def _(s: Submission) -> None:
    (s.folder / SCORES).unlink()


@kind("answers that are a link", r"samples\.jsonl\.gz: missing, or not a plain file")
def _(s: Submission) -> None:
    (s.folder / SAMPLES).rename(s.folder.parent / "elsewhere")
    (s.folder / SAMPLES).symlink_to(s.folder.parent / "elsewhere")


@kind("a link beside the record", r"passwd: a link, folder or device")
def _(s: Submission) -> None:
    (s.folder / "passwd").symlink_to("/etc/passwd")


@kind("a pipe beside the record", r"pipe: a link, folder or device")
def _(s: Submission) -> None:
    os.mkfifo(s.folder / "pipe")


@kind("code beside the record", r"setup\.py: not part of a record: remove it")
def _(s: Submission) -> None:
    (s.folder / "setup.py").write_text("raise SystemExit('run')")


@kind("a record that is a link", r"record\.json: is a link")
def _(s: Submission) -> str:
    s.path.rename(s.folder.parent / "elsewhere.json")
    s.path.symlink_to(s.folder.parent / "elsewhere.json")
    return "raw"


@kind("judgements of other answers", r"judgements-x\.jsonl: samples: judged other answers")
def _(s: Submission) -> None:
    head = {"format": 1, "name": "x", "kind": "rules", "identity": {}, "samples": "0" * 64, "sanity": {}, "failed": ""}
    (s.folder / "judgements-x.jsonl").write_text(json.dumps(head) + "\n")


@kind("broken judgements", r"judgements-x\.jsonl: line 1\.format: missing")
def _(s: Submission) -> None:
    (s.folder / "judgements-x.jsonl").write_text("{}\n")


relined("a broken line", SCORES, r"line \d+\.", lambda x: x.append({"row": 3}))
relined(
    "numbers that are texts", SAMPLES, r"must be a number, not text", lambda x: x[0]["scores"].update(logprob="low")
)
relined(
    "a score of NaN",
    SCORES,
    r"not a finite number",
    lambda x: x[1]["values"].update({next(iter(x[1]["values"])): float("nan")}),
)


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 100


def test_a_good_submission_has_no_findings(tmp_path: Path) -> None:
    submission = Submission(tmp_path)
    assert submission.findings() == []
    submission.write()
    assert submission.findings() == []


@pytest.mark.parametrize("name", KINDS)
def test_it_is_caught(name: str, tmp_path: Path) -> None:
    tamper, said = KINDS[name]
    submission = Submission(tmp_path)
    if tamper(submission) != "raw":
        submission.write()
    found = submission.findings()
    errors = [line for line in found if line.startswith("error: ")]
    assert errors, f"nothing was found: {found}"
    assert any(re.search(said, line) for line in errors), "\n".join(errors)
    assert all(line.isprintable() for line in found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.change(SCORES, _rename_first), r"1 of the cases that this configuration edits are missing"),
        (lambda s: s.record["data"].update(refused={"too hard": 300}), r"data\.refused: is"),
        (lambda s: s.record["data"].update(selection={"supplied": 3}), r"data\.selection: is"),
    ],
    ids=["other cases", "refusals", "selection"],
)
def test_cases_are_chosen_by_the_configuration(change: Tamper, said: str, tmp_path: Path) -> None:
    """Where a protocol does not ask the unedited model first, its choice can be made again."""
    submission = Submission(tmp_path, committed("negation_pocket", "batch:50"))
    change(submission)
    submission.write()
    assert any(re.search(said, line) for line in submission.findings())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edited score", "a name that acts on a terminal", "UTF-16", "gzip bomb"])
def test_the_command_says_so_and_fails(name: str, tmp_path: Path) -> None:
    submission = Submission(tmp_path)
    if KINDS[name][0](submission) != "raw":
        submission.write()
    words = [sys.executable, "-m", "editharness", "verify", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")
    *lines, last = done.stdout.splitlines()
    assert last == "1 record recomputed: 1 with errors"
    assert any(re.search(KINDS[name][1], line) for line in lines)
    assert all(line.isprintable() for line in lines)
