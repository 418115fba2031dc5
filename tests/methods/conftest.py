"""The golden files: what the public reference implementations gave, and the helpers to compare with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from editharness.host import LocalHost
from editharness.locate.templates import SHORT, Sampling
from editharness.models.load import load_model
from editharness.patch import Dense, WeightPatch
from editharness.testing.tiny import TEXT, save_tiny
from editharness.types import Edit

MODELS = ("micro-llama", "micro-gpt2-xl")


class FixedTemplates(LocalHost):
    """A host whose contexts are those of a golden file, shared out in order instead of sampled."""

    fixed: tuple[str, ...] = ()

    def templates(self, count: int, length: int, sampling: Sampling = SHORT) -> tuple[str, ...]:
        return self.fixed[len(self.fixed) - count :] if length == 10 else self.fixed[:count]


@dataclass(frozen=True)
class Golden:
    """One golden file: how the reference was run and what it gave."""

    edits: tuple[Edit, ...]
    second: tuple[Edit, ...]
    contexts: tuple[str, ...]
    hparams: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    def values(self) -> dict[str, Any]:
        """The options of the value search as we name them."""
        names = {
            "v_num_grad_steps": "steps",
            "v_lr": "lr",
            "v_weight_decay": "weight_decay",
            "clamp_norm_factor": "clamp",
        }
        return {
            "kl_weight": self.hparams["kl_factor"],
            **{ours: self.hparams[theirs] for theirs, ours in names.items()},
        }

    def memit_options(self) -> dict[str, Any]:
        """The options of MEMIT and its relatives as we name them."""
        weight = self.hparams["mom2_update_weight"]
        shared = {"layers": tuple(self.hparams["layers"]), "covariance_weight": weight, "templates": len(self.contexts)}
        return {**shared, **self.values()}


@pytest.fixture(scope="session")
def golden(reference: Path) -> Callable[[str, str], Golden]:
    by_id = {record["case_id"]: record for record in json.loads((reference / "golden/edits200.json").read_text())}

    def edit(case: int) -> Edit:
        record = by_id[case]
        start = record["prompt"].index(record["subject"])
        return Edit(str(case), record["prompt"], (start, start + len(record["subject"])), record["target_new"])

    def read(name: str, model: str) -> Golden:
        stem = reference / "golden" / f"{name}_{model}"
        facts = json.loads(stem.with_name(f"{stem.name}.json").read_text())
        with np.load(f"{stem}.npz") as arrays:
            held = {key: arrays[key] for key in arrays.files}
        flat = [text for part in facts.get("templates", ()) for text in ([part] if isinstance(part, str) else part)]
        second = tuple(edit(case) for case in facts.get("second") or ())
        return Golden(tuple(edit(case) for case in facts["edits"]), second, tuple(flat[1:]), facts["hparams"], held)

    return read


@pytest.fixture(scope="session")
def hosts(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Golden], FixedTemplates]:
    texts = [json.loads(line)["text"] for line in (reference / "golden/stats_text.jsonl").read_text().splitlines()]
    cache = tmp_path_factory.mktemp("moments")

    def make(model: str, golden: Golden) -> FixedTemplates:
        loaded = load_model(str(reference / "golden/models" / model), device="cpu")
        host = FixedTemplates(loaded, seed=0, texts=texts, cache=cache)
        host.fixed = golden.contexts
        return host

    return make


def error(ours: Tensor | np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(ours) - theirs) / np.linalg.norm(theirs))


def change(patch: WeightPatch, name: str) -> Tensor:
    delta = patch.deltas[name]
    return delta.delta if isinstance(delta, Dense) else delta.a @ delta.b


def assert_values(ours: Tensor, theirs: np.ndarray) -> None:
    errors = [error(a, b) for a, b in zip(ours, theirs, strict=True)]
    assert max(errors) < 1e-4
    assert np.median(errors) < 1e-5


FACTS = (
    ("The Eiffel Tower is located in the city of", "Eiffel Tower", "Rome"),
    ("The official language of Norway is", "Norway", "French"),
    ("Danielle Darrieux's mother tongue is", "Danielle Darrieux", "English and Italian"),
    ("The capital of Germany is", "Germany", "Madrid"),
)


@pytest.fixture(scope="session")
def facts() -> list[Edit]:
    """Four edits of facts in the tiny models' text, ids "0" to "3"."""
    return [
        Edit(str(i), prompt, (prompt.index(subject), prompt.index(subject) + len(subject)), target)
        for i, (prompt, subject, target) in enumerate(FACTS)
    ]


@pytest.fixture(scope="session")
def tiny_host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LocalHost]:
    """A host over a tiny model of a family, made once per family; tests leave the model as it was."""
    known: dict[str, LocalHost] = {}

    def make(family: str) -> LocalHost:
        if family not in known:
            folder = save_tiny(family, tmp_path_factory.mktemp(family))
            known[family] = LocalHost(load_model(str(folder), device="cpu"), seed=0, texts=TEXT * 3)
        return known[family]

    return make
