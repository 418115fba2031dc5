"""A task's own code that looks something up when it is imported."""

import contextlib
import socket

from editharness_tasks.case_task import CaseTask

with contextlib.suppress(OSError):
    socket.getaddrinfo("huggingface.co", 443)

Task = CaseTask
