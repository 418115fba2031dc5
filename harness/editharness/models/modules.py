"""Where the parts of a causal language model are: one table of layouts, read by module structure, never by model name.

layout     blocks                attention   MLP's down projection   stored
Llama      model.layers          self_attn   mlp.down_proj           Linear [d_h, d_k] (Qwen2, Qwen3, Mistral alike)
Phi-3      model.layers          self_attn   mlp.down_proj           Linear [d_h, d_k]; other maps are fused
GPT-2      transformer.h         attn        mlp.c_proj              Conv1D [d_k, d_h]
GPT-J      transformer.h         attn        mlp.fc_out              Linear [d_h, d_k]; its head has a bias
GPT-NeoX   gpt_neox.layers       attention   mlp.dense_4h_to_h       Linear [d_h, d_k]

The MLP's input side: up_proj beside gate_proj (Llama), gate_up_proj, gate first (Phi-3), c_fc (GPT-2), fc_in (GPT-J),
dense_h_to_4h (GPT-NeoX). The key of a layer is the input of its down projection; formulas use the math orientation
[d_h, d_k]. Gemma 2 and 3 and OLMo 2 are Llama with a norm between an MLP and the stream (`ModuleMap.mlp_added`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import nn
from transformers.pytorch_utils import Conv1D

from editharness.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Role = Literal["down", "up", "gate"]
"""A linear map of an MLP: `down` writes to the stream, `up` and `gate` read from it; `gate` feeds the non-linearity."""

SUPPORTED = (
    "Llama, Qwen2, Qwen3, Mistral, Gemma 2, Gemma 3 (text), Phi-3, OLMo 2, GPT-2, GPT-J, GPT-NeoX "
    "and models whose blocks are built like one of these"
)
POST_NORMS = ("post_feedforward_layernorm", "post_mlp_layernorm")
"""Names in a block of a norm that an MLP's output goes through before it is added to the stream."""


@dataclass(frozen=True)
class Layout:
    """Names inside one family: `blocks` and `final_norm` from the model, the rest from a block.

    `reads`: the maps that the attention reads the stream by: of queries, keys and values, or one where they are fused;
    `writes`: the one it writes by. `up` is None where an MLP has one input projection, ungated or fused (gate first):
    it is `gate`, for both roles.
    """

    blocks: str
    attention: str
    mlp: str
    down: str
    final_norm: str
    gate: str
    reads: tuple[str, ...]
    writes: str
    up: str | None = None


LLAMA = Layout(
    "model.layers", "self_attn", "mlp", "mlp.down_proj", "model.norm",
    gate="mlp.gate_proj", up="mlp.up_proj",
    reads=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), writes="self_attn.o_proj",
)  # fmt: skip
GPT2 = Layout(
    "transformer.h", "attn", "mlp", "mlp.c_proj", "transformer.ln_f",
    gate="mlp.c_fc", reads=("attn.c_attn",), writes="attn.c_proj",
)  # fmt: skip
GPTJ = Layout(
    "transformer.h", "attn", "mlp", "mlp.fc_out", "transformer.ln_f",
    gate="mlp.fc_in", reads=("attn.q_proj", "attn.k_proj", "attn.v_proj"), writes="attn.out_proj",
)  # fmt: skip
NEOX = Layout(
    "gpt_neox.layers", "attention", "mlp", "mlp.dense_4h_to_h", "gpt_neox.final_layer_norm",
    gate="mlp.dense_h_to_4h", reads=("attention.query_key_value",), writes="attention.dense",
)  # fmt: skip
PHI3 = Layout(
    "model.layers", "self_attn", "mlp", "mlp.down_proj", "model.norm",
    gate="mlp.gate_up_proj", reads=("self_attn.qkv_proj",), writes="self_attn.o_proj",
)  # fmt: skip
LAYOUTS = (LLAMA, PHI3, GPT2, GPTJ, NEOX)


@dataclass(frozen=True)
class ModuleMap:
    """Dotted names of the parts of one model. Layers count from 0; a layer outside the model raises ModelError.

    `tied` holds the names of parameters that are one tensor under two names (tied embeddings). `post_norm`: the norm in
    a block that its MLP's output goes through, None where the MLP itself is added to the stream. `logit_cap` c: logits
    are c tanh(x / c) of the head's x, None where they are the head's. `attention_known`: the attention's maps have the
    layout's names.
    """

    blocks: tuple[str, ...]
    layout: Layout
    final_norm: str
    head: str
    embedding: str
    hidden_size: int
    key_sizes: tuple[int, ...]
    stored_transposed: tuple[bool, ...]
    tied: frozenset[str] = field(default_factory=frozenset)
    post_norm: str | None = None
    logit_cap: float | None = None
    attention_known: bool = False

    @property
    def layers(self) -> int:
        """How many blocks there are."""
        return len(self.blocks)

    def attention(self, layer: int) -> str:
        """The attention module; its output is a tuple whose first item is [B, T, d_h]."""
        return f"{self.block(layer)}.{self.layout.attention}"

    def mlp(self, layer: int) -> str:
        """The MLP module; its output is [B, T, d_h]."""
        return f"{self.block(layer)}.{self.layout.mlp}"

    def mlp_added(self, layer: int) -> str:
        """The module whose output [B, T, d_h] a block adds to the stream: its MLP, or the norm behind that."""
        return self.mlp(layer) if self.post_norm is None else f"{self.block(layer)}.{self.post_norm}"

    def down_projection(self, layer: int) -> str:
        """The MLP's last linear map; its input [B, T, d_k] is the key."""
        return f"{self.block(layer)}.{self.layout.down}"

    def projection(self, layer: int, role: Role) -> str:
        """The MLP's linear map of this role; ungated or fused there is one input projection, for "up" and "gate".

        Nothing is checked: a model of a known layout whose input projections are others has no module of this name.
        """
        names = {"down": self.layout.down, "gate": self.layout.gate, "up": self.layout.up or self.layout.gate}
        return f"{self.block(layer)}.{names[role]}"

    def query_value(self, layer: int) -> tuple[str, ...]:
        """The linear maps of queries and values, or the one that they are fused in; unchecked, like `projection`."""
        return tuple(dict.fromkeys(f"{self.block(layer)}.{name}" for name in self.layout.reads[::2]))

    def attention_reads(self, layer: int) -> tuple[str, ...]:
        """The attention's maps of the stream: queries, keys, values, or one for all; none where they are not known."""
        return tuple(f"{self.block(layer)}.{name}" for name in self.layout.reads if self.attention_known)

    def for_itself(self, layer: int) -> tuple[str, ...]:
        """What a block runs for a token's own stream alone: its MLP, its attention's map to the stream if known."""
        return (self.mlp(layer), *((f"{self.block(layer)}.{self.layout.writes}",) if self.attention_known else ()))

    def read_where_asked(self) -> tuple[str, ...]:
        """What the last block runs for a token's own logits alone: as `for_itself`, and its queries if not fused."""
        last = self.layers - 1
        queries = self.attention_reads(last)[:1] if len(self.layout.reads) > 1 else ()
        return (*self.for_itself(last), *queries)

    def down_weight(self, layer: int) -> str:
        """The parameter that locate-then-edit methods change."""
        return f"{self.down_projection(layer)}.weight"

    def key_size(self, layer: int) -> int:
        """d_k, the width of the down projection's input."""
        self.block(layer)
        return self.key_sizes[layer]

    def transposed(self, layer: int) -> bool:
        """Whether the down weight is stored as [d_k, d_h] (Conv1D)."""
        self.block(layer)
        return self.stored_transposed[layer]

    def block(self, layer: int) -> str:
        """The block of a layer."""
        if not 0 <= layer < self.layers:
            raise ModelError(f"layer {layer}: the model has layers 0 to {self.layers - 1}")
        return self.blocks[layer]


def module_map(model: nn.Module) -> ModuleMap:
    """The map of a causal language model, by its structure.

    Raises ModelError for encoder-decoders, mixtures of experts and anything else without one down projection per block.
    """
    modules = dict(model.named_modules())
    layout = _find_layout(model, modules)
    count = len(list(modules[layout.blocks].children()))
    blocks = tuple(f"{layout.blocks}.{i}" for i in range(count))
    downs = [modules[f"{block}.{layout.down}"] for block in blocks]
    transposed = tuple(is_transposed(down) for down in downs)
    shapes = [_math_shape(down, flag) for down, flag in zip(downs, transposed, strict=True)]
    return ModuleMap(
        blocks=blocks,
        layout=layout,
        final_norm=layout.final_norm,
        head=_name_of(modules, _asked(model, "get_output_embeddings"), "output head"),
        embedding=_name_of(modules, _asked(model, "get_input_embeddings"), "token embedding"),
        hidden_size=shapes[0][0],
        key_sizes=tuple(shape[1] for shape in shapes),
        stored_transposed=transposed,
        tied=tied_parameters(model),
        post_norm=next((norm for norm in POST_NORMS if all(f"{block}.{norm}" in modules for block in blocks)), None),
        logit_cap=getattr(getattr(model, "config", None), "final_logit_softcapping", None),
        attention_known=all(f"{b}.{name}" in modules for b in blocks for name in (*layout.reads, layout.writes)),
    )


def tied_parameters(model: nn.Module) -> frozenset[str]:
    """Names of parameters that share their tensor with another name: changing one changes the other too."""
    named = list(model.named_parameters(remove_duplicate=False))
    uses = Counter(id(parameter) for _, parameter in named)
    return frozenset(name for name, parameter in named if uses[id(parameter)] > 1)


def is_transposed(module: nn.Module) -> bool:
    """Whether a linear map stores its weight as [d_in, d_out] (Conv1D)."""
    return isinstance(module, Conv1D)


def to_math(weight: Tensor, transposed: bool) -> Tensor:
    """A stored weight or delta in math orientation [d_h, d_k]; a view."""
    return weight.mT if transposed else weight


def to_stored(weight: Tensor, transposed: bool) -> Tensor:
    """A weight or delta in math orientation [d_h, d_k] in the orientation that the module stores; a view."""
    return weight.mT if transposed else weight


def _find_layout(model: nn.Module, modules: dict[str, nn.Module]) -> Layout:
    fitting = [layout for layout in LAYOUTS if _has(modules, layout)]
    for layout in fitting:
        if f"{layout.blocks}.0.{layout.gate}" in modules:
            return layout
    if fitting:
        return fitting[0]
    kind = getattr(getattr(model, "config", None), "model_type", None) or type(model).__name__
    if any(name.endswith(".experts") for name in modules):
        raise ModelError(
            f"model type {kind!r} is a mixture of experts, whose layers have no one down projection to edit: "
            f"use a dense model ({SUPPORTED})"
        )
    raise ModelError(f"model type {kind!r} is not supported: use {SUPPORTED}")


def _has(modules: dict[str, nn.Module], layout: Layout) -> bool:
    """Whether every block has attention, an MLP and a down projection that can be edited; input maps may be others."""
    blocks = modules.get(layout.blocks)
    count = len(list(blocks.children())) if isinstance(blocks, nn.ModuleList) else 0
    parts = (layout.attention, layout.mlp, layout.down)
    names = [f"{layout.blocks}.{i}.{part}" for i in range(count) for part in parts]
    downs = [modules.get(f"{layout.blocks}.{i}.{layout.down}") for i in range(count)]
    return count > 0 and layout.final_norm in modules and all(name in modules for name in names) and _editable(downs)


def _editable(downs: list[nn.Module | None]) -> bool:
    return all(
        isinstance(down, (nn.Linear, Conv1D)) and down.weight.ndim == 2 and down.weight.is_floating_point()
        for down in downs
    )


def _math_shape(down: nn.Module, transposed: bool) -> tuple[int, int]:
    weight = down.get_parameter("weight")
    rows, columns = to_math(weight, transposed).shape
    return rows, columns


def _asked(model: nn.Module, function: str) -> Any:
    getter = getattr(model, function, None)
    return getter() if getter is not None else None


def _name_of(modules: dict[str, nn.Module], wanted: Any, what: str) -> str:
    for name, module in modules.items():
        if module is wanted:
            return name
    raise ModelError(f"the model has no {what}: load it as a causal language model")
