"""A worker process: cells come and replies go, pickled, over the socket of a number.

python -m editharness.sweeping.serve FD
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from editharness.sweeping.worker import Cells


def main(argv: Sequence[str]) -> int:
    """Serve until the other end closes. SIGTERM is the sweep's Ctrl-C: what is made is kept."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the sweep, which then says what to do
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    connection = Connection(int(argv[0]))
    try:
        cells = Cells(connection.recv())
        while True:
            connection.send(cells.make(connection.recv()))
    except (EOFError, BrokenPipeError):  # the sweep is done, or gone
        return 0
    except KeyboardInterrupt:
        return 130


def _end_with(parent: int) -> None:
    """Stop as on Ctrl-C when the sweep is gone: nobody waits for this process any more."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
