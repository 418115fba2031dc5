"""The lm-eval tasks that ship with editharness."""
