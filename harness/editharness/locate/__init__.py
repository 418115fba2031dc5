"""The locate-then-edit toolkit: contexts, keys, target values, second moments, earlier keys, the solve."""
