"""R-ROME: rebuilding ROME (Gupta, Baskaran, Anumanchipalli, "Rebuilding ROME", 2024).

ROME derives one key per edit, yet its published code uses two, the mean over contexts and the bare prompt's, and some
edits then ruin the model. R-ROME uses one of them in every place of ROME's eq. 2:

    Δ = (v − W k) (C⁻¹ k)ᵀ / ((C⁻¹ k)ᵀ k),   k = mean key over contexts (R-ROME) or the bare prompt's (p-ROME)

With `key_mode` "mean" this is C-ROME's formula; the two repositories publish different values, so each has its name.
"""

from __future__ import annotations

from editharness_plugins.methods.rome import Rome


class RRome(Rome):
    """ROME with `key_mode` "mean" or "bare", the only ones of its options."""
