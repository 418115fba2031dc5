"""`python -m editharness`."""

import sys

from editharness.cli import main

sys.exit(main())
