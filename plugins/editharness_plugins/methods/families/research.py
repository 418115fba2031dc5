"""Methods of this project: no paper's, and said so."""

from __future__ import annotations

from editharness.locate.options import ComplementOptions
from editharness.types import MethodSpec
from editharness_plugins.methods.families.places import CODE, PRESETS

METHODS: tuple[MethodSpec, ...] = (
    MethodSpec(
        name="complement",
        title="MEMIT with complementary forms",
        paper="",
        ref=f"{CODE}.complement:Complement",
        options=ComplementOptions,
        presets=PRESETS / "complement.yaml",
        sees=frozenset({"forms"}),
        note="no paper's method: MEMIT whose values and keys come from all training wordings, denials included",
    ),
)
