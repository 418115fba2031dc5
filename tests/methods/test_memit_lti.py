"""MEMIT-LTI: what the teacher reads, and what it teaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from editharness.errors import OptionError
from editharness.host import LocalHost
from editharness.locate.options import MemitLtiOptions
from editharness.models.load import load_model
from editharness.models.spans import IGNORED
from editharness.options import resolve_options
from editharness.presets import load_presets
from editharness.testing.tiny import TEXT, save_tiny
from editharness.types import Edit
from editharness_plugins.methods import memit_lti as lti_module
from editharness_plugins.methods.memit_lti import MemitLti

FACTS = (
    ("Eiffel Tower is located in the city of", "Eiffel Tower", "Rome"),
    ("The official language of {Norway} is", "Norway", "French"),
    ("Danielle Darrieux's mother tongue is", "Danielle Darrieux", "English and Italian"),
)
EDITS = [
    Edit(str(i), prompt, (prompt.index(subject), prompt.index(subject) + len(subject)), target)
    for i, (prompt, subject, target) in enumerate(FACTS)
]
QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1, "layers": (0, 1), "templates": 2}


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return LocalHost(load_model(str(folder), device="cpu"), seed=0, texts=TEXT * 3)


def test_teacher_and_student_are_read_at_the_same_tokens(host: LocalHost) -> None:
    method = MemitLti(MemitLtiOptions(**QUICK))
    contexts = method.contexts(host)
    student = host.encode(EDITS, contexts)
    teacher = method.imagined(host, EDITS, student)
    assert torch.equal(teacher.labels[teacher.labels != IGNORED], student.labels[student.labels != IGNORED])
    assert torch.equal(teacher.ids[teacher.labels != IGNORED], student.ids[student.labels != IGNORED])
    every = torch.arange(len(student))
    assert torch.equal(teacher.ids[every, teacher.subject_last], student.ids[every, student.subject_last])
    begins = host.tokenizer.bos_token_id if host.tokenizer.encode("")[:1] else None
    for row in range(len(student)):
        edit = EDITS[int(student.edit[row])]
        before = int(teacher.mask[row].sum() - student.mask[row].sum())
        told, said = teacher.ids[row][teacher.mask[row]].tolist(), student.ids[row][student.mask[row]].tolist()
        special = int(begins is not None)
        assert told[:special] == said[:special]
        assert told[special + before :] == said[special:]
        prefix = host.tokenizer.decode(told[special : special + before])
        assert prefix == f"Imagine that {edit.prompt} {edit.target}\n"


def test_legacy_reads_the_teacher_at_the_students_positions(host: LocalHost) -> None:
    method = MemitLti(MemitLtiOptions(teacher_alignment="legacy", **QUICK))
    student = host.encode(EDITS, method.contexts(host))
    teacher = method.imagined(host, EDITS, student)
    assert torch.equal(teacher.subject_last, student.subject_last)
    assert (teacher.labels != IGNORED).nonzero().tolist() == (student.labels != IGNORED).nonzero().tolist()
    aligned = MemitLti(MemitLtiOptions(**QUICK)).values(host, EDITS).target
    assert not torch.allclose(method.values(host, EDITS).target, aligned, rtol=1e-3)


def test_the_student_comes_nearer_to_the_teacher(host: LocalHost) -> None:
    shared: dict[str, Any] = {**QUICK, "nll_weight": 0.0, "weight_decay": 0.0, "last_kl": 1.0, "mid_kl": 1.0}
    start, end = (
        [s.facts["loss"] for s in MemitLti(MemitLtiOptions(**{**shared, "steps": steps})).values(host, EDITS).statuses]
        for steps in (1, 12)
    )
    assert all(after < 0.9 * before for before, after in zip(start, end, strict=True))


def test_an_edit_alone_is_the_edit_in_any_batch(host: LocalHost) -> None:
    together = MemitLti(MemitLtiOptions(**QUICK)).values(host, EDITS).target
    for tokens in (1, 60):
        method = MemitLti(MemitLtiOptions(row_tokens=tokens, **QUICK))
        torch.testing.assert_close(method.values(host, EDITS).target, together, rtol=1e-3, atol=2e-4)
    alone = MemitLti(MemitLtiOptions(**QUICK)).values(host, EDITS[2:]).target
    torch.testing.assert_close(alone[0], together[2], rtol=1e-3, atol=2e-4)


def test_the_layer_of_the_lens(host: LocalHost) -> None:
    assert MemitLti(MemitLtiOptions(**QUICK)).middle(host) == 1
    assert MemitLti(MemitLtiOptions(**{**QUICK, "layers": (0, 2)})).middle(host) == 2
    with pytest.raises(OptionError, match="below the last edited layer 1"):
        MemitLti(MemitLtiOptions(mid_layer=0, **QUICK)).edit(host, EDITS, {})


def test_presets_fit_their_options() -> None:
    found = load_presets(Path(lti_module.__file__).parent / "presets" / "memit_lti.yaml")
    assert {"encore", "sand", "pocket"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(MemitLtiOptions, preset.values, {})
        assert options.nll_weight == {"encore": 0.125, "sand": 1.0}.get(preset.name, options.nll_weight)
        assert options.mid_layer is None or options.mid_layer >= options.layers[-1]
