"""In-context editing: the facts are retrieved and told, or a second model answers for them."""

from __future__ import annotations

from editharness.types import MethodSpec
from editharness_plugins.methods.families.places import CODE, PRESETS
from editharness_plugins.methods.options.in_context import IceOptions, IkeOptions, SeracOptions

METHODS: tuple[MethodSpec, ...] = (
    MethodSpec(
        name="ike",
        title="IKE",
        paper="arXiv 2305.12740",
        ref=f"{CODE}.ike:Ike",
        options=IkeOptions,
        presets=PRESETS / "ike.yaml",
        trains=True,
        effect="router",
        recipe=f"{CODE}.telling:RetrievedFacts",
        note="facts told with demonstrations; the gate that decides which text gets which fact is ours",
    ),
    MethodSpec(
        name="ice",
        title="ICE",
        paper="arXiv 2305.12740",
        ref=f"{CODE}.ice:Ice",
        options=IceOptions,
        presets=PRESETS / "ice.yaml",
        trains=True,
        effect="router",
        recipe=f"{CODE}.telling:RetrievedFacts",
        note="IKE without demonstrations; the gate is ours and needs the train split for its threshold",
    ),
    MethodSpec(
        name="serac",
        title="SERAC",
        paper="arXiv 2206.06520",
        ref=f"{CODE}.serac:Serac",
        options=SeracOptions,
        presets=PRESETS / "serac.yaml",
        trains=True,
        effect="router",
        recipe=f"{CODE}.serac:ScopedEdits",
        note="cached edits answered by a second model; both parts are trained from scratch here, the paper tunes "
        "pretrained ones",
    ),
)
