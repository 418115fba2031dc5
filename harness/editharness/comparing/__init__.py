"""Two runs, case by case: what differs, how sure that is, and which answers changed."""

from editharness.comparing.pairs import ALLOWABLE, Compared, Difference, compare
from editharness.comparing.side import Side, read_side

__all__ = ["ALLOWABLE", "Compared", "Difference", "Side", "compare", "read_side"]
