"""An edit in the shapes that other code bases pass around. Functions write into them: each call makes new ones."""

from __future__ import annotations

from typing import Any

from editharness.types import Edit

Request = dict[str, Any]
NO_ANSWER = "<|endoftext|>"
"""What EasyEdit puts where the old answer is not known."""


def memit_request(edit: Edit) -> Request:
    """As ROME and MEMIT have it: the prompt with {} for the subject, answers under "str"."""
    request: Request = {
        "case_id": edit.id,
        "prompt": template(edit),
        "subject": edit.subject_text,
        "target_new": {"str": edit.target},
    }
    return request if edit.old is None else {**request, "target_true": {"str": edit.old}}


def easyedit_request(edit: Edit) -> Request:
    """As EasyEdit's editor prepares it: the prompt written out, answers as texts."""
    return {
        "prompt": edit.prompt,
        "subject": edit.subject_text,
        "target_new": edit.target,
        "ground_truth": edit.old or NO_ANSWER,
        "portability": {},
        "locality": {},
    }


def template(edit: Edit) -> str:
    """The prompt with {} where the subject stands, ready for `.format`: other braces are doubled."""
    start, end = edit.subject
    before, after = (part.replace("{", "{{").replace("}", "}}") for part in (edit.prompt[:start], edit.prompt[end:]))
    return f"{before}{{}}{after}"
