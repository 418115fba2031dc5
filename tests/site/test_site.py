"""The site comes from records alone, the same each time; nothing in a record acts on a page; it works in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.errors import UsageError
from editharness.leaderboard.board import Entry
from editharness.leaderboard.show import load
from editharness.site import build
from editharness.site.build import pages

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files",
    "--virtual-time-budget=4000",
)  # fmt: skip
VOID = {"meta", "link", "input", "img", "line", "circle", "br"}


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return load([RESULTS / "factcheck_pocket", RESULTS / "negation_pocket"])


@pytest.fixture(scope="module")
def site(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "site"
    build([slower(entry) for entry in entries], folder)
    return folder


def slower(entry: Entry) -> Entry:
    """The run of `kn` and `ft-m` as if made on a slower machine: 12 and 2.5 seconds per edit, which text misorders."""
    pace = {"kn": 12.0, "ft-m": 2.5}.get(entry.record.method.name)
    if pace is None:
        return entry
    return entry._replace(record=replace(entry.record, cost=replace(entry.record.cost, seconds_per_edit=pace)))


class Tags(HTMLParser):
    """Every element is closed, in order; ids occur once; scripts come from a file."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in found), (tag, found)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append(found)
        self.ids += [str(found["id"])] if "id" in found else []
        self.links += [str(value) for name in ("href", "src") if (value := found.get(name))]
        if tag == "img":
            assert found.get("alt")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_pages_are_whole_and_link_only_to_each_other(site: Path) -> None:
    for page in site.rglob("*.html"):
        tags = Tags()
        tags.feed(page.read_text(encoding="utf-8"))
        assert tags.open == []
        assert len(tags.ids) == len(set(tags.ids))
        assert [script.get("src", "").endswith("board.js") for script in tags.scripts] == [True]  # type: ignore[union-attr]
        for link in tags.links:
            assert link.startswith("#") or (page.parent / link).resolve().is_file(), (page, link)


def test_the_same_records_give_the_same_bytes(entries: list[Entry]) -> None:
    assert dict(pages(entries)) == dict(pages(entries[::-1]))


def test_a_board_shows_what_its_records_hold(site: Path) -> None:
    (page,) = (site / "boards").glob("negation_pocket-pocket-batch-50-*.html")
    text = page.read_text(encoding="utf-8")
    for control in ("none", "none*", "context", "constant", "echo", "target"):
        assert f'<th scope="row">{control} ' in text
    assert text.count('class="copy"') == text.count('<section class="made">') >= 29
    assert "editharness eval --method memit --task negation_pocket" in text


def test_nothing_in_a_record_acts_on_a_page(entries: list[Entry]) -> None:
    one = entries[0].record
    bad = "<script>alert(1)</script>\x1b[31m\"'><img src=x onerror=alert(1)>"
    method = replace(one.method, title=bad, paper=bad, preset=replace(one.method.preset, source=bad))
    record = replace(one, command=bad, method=method, model=replace(one.model, name=bad))
    for path, text in pages([Entry(record)]).items():
        if path.endswith(".html"):
            assert "<script>alert" not in text
            assert "<img src=x" not in text
            assert "\x1b" not in text
            Tags().feed(text)


def test_a_folder_with_other_files_is_not_touched(entries: list[Entry], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds other files"):
        build(entries[:1], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command_makes_it_and_makes_it_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["site", str(RESULTS / "factcheck_pocket"), "--output", str(tmp_path / "site"), "--reported"]
    assert main(words) == 0
    assert main(words) == 0
    assert "index.html" in capsys.readouterr().out
    assert main(["site", str(tmp_path / "nothing"), "--output", str(tmp_path / "other")]) == 2


def browse(address: str, profile: Path) -> str:
    """The page as the browser has it once its script has run."""
    words = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", address]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@pytest.mark.slow
@needs_browser
def test_a_browser_sorts_filters_and_turns_the_light_off(site: Path, tmp_path: Path) -> None:
    (page,) = (site / "boards").glob("negation_pocket-pocket-batch-50-*.html")
    dom = browse(f"{page.as_uri()}#sort=1&show=rome&theme=dark", tmp_path)
    assert 'data-theme="dark"' in dom
    assert 'aria-sort="ascending"' in dom
    body = dom.split('<tbody class="methods">')[1].split("</tbody>")[0]
    rows = re.findall(r"<tr( hidden=\"\")?>.*?data-sort=\"([^\"]+)\"><a", body, re.S)
    assert [name for _, name in rows] == sorted((name for _, name in rows), key=str.lower)
    assert {name for hidden, name in rows if not hidden} == {"rome", "c-rome", "r-rome"}
    assert ">3 of " in dom


@pytest.mark.slow
@needs_browser
def test_a_click_sorts_a_heading_takes_the_focus_and_a_phone_never_scrolls_sideways(site: Path, tmp_path: Path) -> None:
    """The page in a frame as wide as a phone, used by a script as a reader would."""
    (page,) = (site / "boards").glob("negation_pocket-pocket-batch-50-*.html")
    (tmp_path / "frame.html").write_text(
        f"""<!doctype html><iframe src="{page.as_uri()}" width="375" height="700"></iframe><pre id="out"></pre><script>
        document.querySelector("iframe").onload = (event) => {{
          const page = event.target.contentDocument, buttons = page.querySelectorAll("thead button");
          const first = () => page.querySelector("tbody.methods tr th").dataset.sort;
          const told = [page.documentElement.scrollWidth];
          buttons[1].click(); told.push(first());
          buttons[1].focus(); told.push(page.activeElement === buttons[1]);
          buttons[1].click(); told.push(first());
          page.getElementById("filter").value = "memit";
          page.getElementById("filter").dispatchEvent(new Event("input"));
          told.push(page.querySelectorAll("tbody.methods tr:not([hidden])").length);
          buttons[buttons.length - 1].click();
          const rows = [...page.querySelectorAll("tbody.methods tr")];
          told.push(rows.map((row) => row.lastElementChild.textContent.trim()));
          page.getElementById("theme").click(); told.push(page.documentElement.dataset.theme);
          document.getElementById("out").textContent = JSON.stringify(told);
        }};</script>"""
    )
    dom = browse((tmp_path / "frame.html").as_uri(), tmp_path / "profile")
    found = re.search(r'<pre id="out">(.*?)</pre>', dom)
    assert found is not None
    width, ascending, focused, descending, shown, paces, theme = json.loads(html.unescape(found[1]))
    assert width <= 375
    assert (ascending, focused, descending) == ("adaedit", True, "wise")
    assert shown == 2
    seconds = [float(pace.replace("<0.01", "0")) for pace in paces]
    assert seconds == sorted(seconds), "by the number of seconds, not by its text"
    assert theme in ("dark", "light")
