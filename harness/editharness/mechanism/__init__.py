"""What happens inside: causal tracing (which token, which layer decides) and the geometry of target values."""
