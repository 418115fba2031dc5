"""Models: load one, find its parts, place spans in tokens, see and replace activations."""
