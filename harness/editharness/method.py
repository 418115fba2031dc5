"""What an author of a method writes: a class derived from Method with one function, `edit`.

class Rome(Method[RomeOptions]):
    def edit(self, host, edits, state): ...      # -> Step(patch, state, statuses); the model is left as found
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from editharness.errors import EditError
from editharness.types import Case, Edit, State, Status, Step

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor, nn

    from editharness.locate.moments import Moments
    from editharness.locate.templates import Sampling
    from editharness.models.modules import ModuleMap
    from editharness.models.spans import Prompts
    from editharness.patch import Patch, WeightPatch

OptionsT = TypeVar("OptionsT")


class Host(Protocol):
    """What the harness lends a method: the model as edited so far, and what is known about it.

    `model` is in eval mode with gradients off; whatever a method changes on it must be undone (`recording` does).
    """

    @property
    def model(self) -> nn.Module:
        """The model as edited so far."""

    @property
    def tokenizer(self) -> Any:
        """Its fast tokenizer."""

    @property
    def modules(self) -> ModuleMap:
        """Where blocks, MLPs and down projections lie in this architecture."""

    @property
    def rng(self) -> Generator:
        """A generator seeded by the run; the global one is not to be used."""

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""

    def encode(self, edits: Sequence[Edit], templates: Sequence[str] = ("{}",), *, targets: bool = True) -> Prompts:
        """Every edit under every template, edit-major: ids, masks, labels, position of the subject's last token."""

    def templates(self, count: int, length: int, sampling: Sampling = ...) -> tuple[str, ...]:
        """`count` sampled context templates ("text. {}") of the unedited model, seeded; "{}" is not among them.

        Without `sampling`, as ROME and MEMIT sample them.
        """

    def moments(self, layer: int, *, together: Sequence[int] = ()) -> Moments:
        """Second moments of the keys of `layer` in the UNEDITED model; computed once and cached by content.

        Layers in `together` that are missing as well are collected in the same pass over the corpus.
        """

    def original(self, parameter: str) -> Tensor:
        """The unedited weight W0 of a parameter, fp32."""

    def recording(self, *globs: str) -> AbstractContextManager[RecordedPatch]:
        """Run in-place editing code; on exit the model is restored bit for bit and the change is in `.patch`."""

    def progress(self, done: int, total: int, what: str) -> None:
        """Tell the user how far a long step is."""

    def resume(self) -> State | None:
        """What the running `prepare` last gave to `keep` before it was interrupted; None: start from the beginning."""

    def keep(self, state: State) -> None:
        """Keep all that the running `prepare` needs to go on from here, should it be interrupted."""


class RecordedPatch(Protocol):
    """What `Host.recording` yields; `patch` is set when the context is left."""

    patch: WeightPatch | None


class Method(Generic[OptionsT]):
    """An editing method. Only `edit` is required."""

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        """Once per base model, for methods that train; cached by content, its cost reported apart.

        `train` shares no subject with the edits of the run. The state is that of the first batch of every arm.
        """
        return {}

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """Write `edits` into the model that `host` holds, given the state after earlier batches."""
        raise NotImplementedError(f"{type(self).__name__} must define edit()")

    def edit_each(self, host: Host, edits: Sequence[Edit], state: State) -> Iterator[Step]:
        """`single`: every edit on the same start. Override to optimise all values in one batch."""
        for one in edits:
            try:
                step = self.edit(host, [one], state)
            except EditError as error:
                step = Step(None, state, (Status(one.id, "failed", str(error)),))
            yield step

    def view(self, host: Host, total: Patch) -> Patch:
        """What is evaluated and exported at a checkpoint; never carried on."""
        return total
