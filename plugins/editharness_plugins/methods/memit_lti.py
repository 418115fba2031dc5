"""MEMIT-LTI: learn the inference (Zhang et al., "Uncovering overfitting in LLM editing", ICLR 2025).

Values that only raise p(target) overfit it. The teacher is the model itself, told the fact before each prompt:

    "Imagine that <prompt> <target>\\n" + context_j(prompt)

The student, without that prefix, learns the target and what the teacher says at the target's tokens and at the end of
"<subject> is a" (KL_a), and what its block at `mid_layer` says through the logit lens at the subject (KL_b):

    L = nll_weight NLL + last_kl KL_a(student ‖ teacher) + mid_kl KL_b(student ‖ teacher) + decay |δ|/|h|²

Everything else is MEMIT. The teacher's rows are the student's tokens with the prefix put in, so both are read at the
same tokens. The ports that could be read use the student's positions for the teacher too, which lie inside the prefix:
`teacher_alignment` "legacy". The authors' own code could not be had, so which of the two it does is not verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from torch.nn.functional import pad

from editharness.errors import OptionError
from editharness.locate.batch import Found, find_values
from editharness.locate.objective import Decay, Likelihood, Near, Objective
from editharness.locate.options import MemitLtiOptions
from editharness.locate.rows import inserted
from editharness.locate.values import Search
from editharness.method import Host
from editharness.models.spans import IGNORED, encode_text, target_text
from editharness.types import Edit
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from editharness.models.spans import Prompts


class MemitLti(Memit):
    """MEMIT with an in-context teacher."""

    options: MemitLtiOptions

    def values(self, host: Host, edits: Sequence[Edit]) -> Found:
        """Target values z that imitate the teacher."""
        layer, contexts, teacher = self.layers(host)[-1], self.contexts(host), partial(self.imagined, host)
        return find_values(host, edits, layer, contexts, self.options, search=self.search(host), teacher=teacher)

    def search(self, host: Host) -> Search:
        """The three constraints and the decay; MEMIT's own KL is part of KL_a and KL_b."""
        o = self.options
        terms = (
            Likelihood(o.nll_weight),
            Near(o.last_kl, ("target", "essence_end"), "teacher"),
            Near(o.mid_kl, ("lens",), "teacher"),
            Decay(o.weight_decay),
        )
        return Search(Objective(terms, o.loss_stop), lens=self.middle(host))

    def imagined(self, host: Host, edits: Sequence[Edit], prompts: Prompts) -> Prompts:
        """The teacher's rows: every edit's prefix put in after the tokens that begin a text."""
        special = len(encode_text(host.tokenizer, "")[0])
        prefixes = [
            encode_text(host.tokenizer, f"Imagine that {edit.prompt}{target_text(edit.target)}\n")[0][special:]
            for edit in edits
        ]
        told = inserted(prompts, prefixes, after=special)
        if self.options.teacher_alignment == "aligned":
            return told
        wider = told.ids.shape[1] - prompts.ids.shape[1]
        return replace(told, labels=pad(prompts.labels, (0, wider), value=IGNORED), subject_last=prompts.subject_last)

    def middle(self, host: Host) -> int:
        """The layer of the logit lens."""
        last, chosen = self.layers(host)[-1], self.options.mid_layer
        if chosen is None:
            return max(last, (host.modules.layers - 1) // 2)
        if chosen < last:
            raise OptionError(f"mid_layer {chosen} is below the last edited layer {last}: nothing changes there")
        return chosen
