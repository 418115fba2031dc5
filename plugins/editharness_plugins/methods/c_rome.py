"""C-ROME: ROME with one consistent key (Yang et al., "The Fall of ROME", 2024; R-ROME, Gupta et al., 2024).

ROME divides by the product of two different keys, the mean over contexts and the bare prompt's; where they are nearly
orthogonal the update explodes and one edit ruins the model. Here the mean key and the mean output stand everywhere.
"""

from __future__ import annotations

from editharness_plugins.methods.rome import Rome


class CRome(Rome):
    """ROME with `key_mode` "mean", the default of its options."""
