"""MkDocs hook: README, CONTRIBUTING and the boards are pages of the site too, and links between all of them resolve.

Files outside docs/ keep their place in the repository, where their links are relative to it. Here each gets an address
below the site, and every relative link is written anew; one that leads to no page is a warning (--strict: an error).
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
SINGLE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Path in the repository -> path in the site."""
FENCED = re.compile(r"^(```.*?^```[^\n]*$)", re.M | re.S)
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
log = logging.getLogger("mkdocs.hooks.docs_site")


def outside() -> dict[str, str]:
    """Every file from outside docs/ that the site shows."""
    boards = [*ROOT.glob("leaderboards/*.md"), *ROOT.glob("leaderboards/plots/*.svg")]
    paths = [path.relative_to(ROOT).as_posix() for path in sorted(boards)]
    return SINGLE | {path: path.replace("leaderboards/", "boards/", 1) for path in paths}


def site_path(path: str) -> str:
    """Where a file of the repository stands in the site; "" if it is no part of it."""
    return outside().get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/."""
    for path, uri in outside().items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write the links of a page anew, its blocks of code apart."""
    source = Path(page.file.abs_src_path or "").relative_to(ROOT).as_posix()
    parts = FENCED.split(markdown)
    return "".join(part if part.startswith("```") else linked(part, source, page.file.src_uri) for part in parts)


def linked(text: str, source: str, uri: str) -> str:
    """`text` of the file `source` with its relative links as the page `uri` of the site needs them."""

    def anew(match: re.Match[str]) -> str:
        path, mark, anchor = match[2].partition("#")
        if not path or ":" in path:
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        there = site_path(target)
        if not there or not (ROOT / target).is_file():
            log.warning("%s links to %s, which is no page of the site", source, match[2])
            return match[0]
        return f"{match[1]}{os.path.relpath(there, posixpath.dirname(uri) or '.')}{mark}{anchor}{match[3]}"

    return LINK.sub(anew, text)
