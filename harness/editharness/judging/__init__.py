"""Judging stored answers: which answers, by which judge, after which sanity check, with which agreement."""
