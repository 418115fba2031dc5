"""Is a record what it says? Read as data from strangers: everything is checked, nothing of it is run."""

from editharness.verifying.findings import Finding
from editharness.verifying.here import Here
from editharness.verifying.run import verify_run

__all__ = ["Finding", "Here", "verify_run"]
