"""Editing functions written for other code bases, run unchanged as methods.

    from editharness.adapters import memit_style, easyedit_style

    TheirRome = memit_style(apply_rome_to_model, "hparams/ROME/gpt2-xl.json")
    TheirFt = easyedit_style(apply_ft_to_model, "hparams/FT/gpt2-xl.yaml", hparams_class=FTHyperParams)

Each is a Method class: register it, or hand it to `editharness.evaluate`. The function works on the model in place, on
a copy, or wraps it with peft; whatever it does is read off as a patch and undone. What it draws at random comes from
the run's seed, what it prints goes to the log, and the tokenizer's padding comes back. See docs/adapters.md.
"""

from editharness.adapters.styles import easyedit_style, memit_style

__all__ = ["easyedit_style", "memit_style"]
