"""What listens to runs through the `run_*` hooks: a log of events, and a tracker of experiments."""
