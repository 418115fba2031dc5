"""What a module does when it is imported in a fresh interpreter: it must ask no network, the hub least of all.

Python tells its audit hooks of every connection and every look-up of a host's name, whoever makes them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from editharness.testing.conformance.report import Fault

WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname")
_CODE = f"""
import importlib, importlib.util, json, os, sys
asked = []
def hook(event, args):
    if event in {WATCHED!r}:
        address = next((a for a in args if isinstance(a, (str, tuple))), "")
        asked.append(str(address[0] if isinstance(address, tuple) and address else address))
        raise OSError("the network is not asked while a plugin is imported")
sys.addaudithook(hook)
sys.path[:0] = json.loads(sys.argv[1])
said = []
for name, path in json.loads(sys.argv[2]):
    try:
        if importlib.util.find_spec(name.partition(".")[0]) is None and path:
            found = importlib.util.spec_from_file_location(name, path)
            sys.modules[name] = module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
        else:
            importlib.import_module(name)
    except Exception as error:
        said.append(f"{{name}}: {{type(error).__name__}}: {{error}}")
sys.stdout.flush()
os.write(1, b"\\n" + json.dumps([asked, said]).encode())
"""


def module_of(ref: str) -> Mapping[str, Path | None]:
    """The module of "package.module:Name", which is imported here, with its file: what `imports_quietly` takes."""
    name = ref.partition(":")[0]
    file = getattr(sys.modules.get(name), "__file__", None)
    return {name: Path(file) if file else None}


def imports_quietly(modules: Mapping[str, Path | None]) -> Iterator[Fault]:
    """Import modules (by name; from their file where no path leads to them) in a process without a network."""
    named = [(name, str(path) if path else None) for name, path in modules.items()]
    words = [json.dumps([path for path in sys.path if path]), json.dumps(named)]
    done = subprocess.run([sys.executable, "-c", _CODE, *words], capture_output=True, text=True, check=False)
    last = (done.stdout.splitlines() or [""])[-1]
    asked, said = json.loads(last) if last.startswith("[") else ([], [done.stderr.strip().rpartition("\n")[2]])
    for host in dict.fromkeys(asked):
        yield Fault(
            f"the import of {', '.join(name for name, _ in named)} asks the network for {host or 'an address'}",
            "every listing and every offline run imports it, and would wait or fail there",
            "fetch inside the function that needs the file, or name a Source and let editharness fetch it",
        )
    if not asked:
        for line in said:
            yield Fault(
                f"cannot be imported on its own: {' '.join(line.split())}",
                "a fresh process, as every command is, would end there",
                "import what the module needs at its top, and run nothing there",
            )
