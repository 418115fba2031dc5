"""Data sets: where their files are, how records become cases, how prompts are negated, completed and stated."""
