"""The pages in a real browser: valid, accessible, and used with real keys; skipped where there is no Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from editharness.leaderboard.claims import read_claims
from editharness.leaderboard.show import load
from editharness.site import build
from editharness.store.notes import Note, write_note
from editharness.store.read import digest

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"
BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver on this machine")
WIDTHS = {"desktop": (1280, 900), "phone": (375, 740)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of page: an index, boards with and without claims, runs with and without notes."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(RESULTS / "negation_pocket", folder / "runs" / "negation_pocket")
    shutil.copytree(RESULTS / "sequential_pocket", folder / "runs" / "sequential_pocket")
    noted = next((folder / "runs").glob("*/memit-*/record.json"))
    about = digest(noted) or ""
    write_note(noted.parent, Note("reproduced", about, "A. Reader", "2026-01-31", "asked again, the same answers"))
    write_note(noted.parent, Note("challenged", about, "B. Reader", "2026-02-01", "<script>alert(1)</script> & no"))
    entries = load([folder / "runs"])
    good = [entry.folder for entry in entries[:5] if entry.folder]
    build(entries, folder / "site", read_claims(), recomputed=[*good, noted.parent])
    return folder / "site"


def of_each_kind(site: Path) -> list[Path]:
    """The index, the widest board, the run that has notes, and one without."""
    board = max((site / "boards").glob("*.html"), key=lambda path: path.stat().st_size)
    runs = sorted((site / "runs").glob("*.html"))
    noted = next(path for path in runs if "B. Reader" in path.read_text(encoding="utf-8"))
    return [site / "index.html", board, noted, next(path for path in runs if path != noted)]


def test_every_page_is_valid_html(site: Path) -> None:
    html5lib = pytest.importorskip("html5lib")
    found = list(site.rglob("*.html"))
    assert len(found) > 30
    for page in found:
        html5lib.HTMLParser(strict=True).parse(page.read_bytes(), transport_encoding="utf-8")


def test_the_validator_finds_what_is_not_valid() -> None:
    html5lib = pytest.importorskip("html5lib")
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse("<!doctype html><html><body><p><table><p></table></body></html>")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    made = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield made
    made.quit()


def opened(driver: Any, page: Path, light: str = "light", width: str = "desktop") -> Any:
    """The page at a width, in a light, as a new visitor sees it."""
    wide, high = WIDTHS[width]
    metrics = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": width == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"features": [{"name": "prefers-color-scheme", "value": light}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    driver.get("about:blank")  # else only the part behind # would change
    driver.get(page.as_uri())
    return driver


def violations(driver: Any) -> list[str]:
    """What axe-core finds wrong: rule, and the first element."""
    axe_core_python = pytest.importorskip("axe_core_python")
    driver.execute_script((Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = driver.execute_async_script("const done = arguments[0]; axe.run(document).then(done);")
    assert len(found["passes"]) > 10
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("light", ["light", "dark"])
def test_every_kind_of_page_is_accessible(light: str, width: str, site: Path, driver: Any) -> None:
    for page in of_each_kind(site):
        assert violations(opened(driver, page, light, width)) == [], page.name
        assert driver.execute_script("return document.documentElement.scrollWidth") <= WIDTHS[width][0], page.name


@pytest.mark.slow
@needs_browser
def test_the_checker_finds_what_is_not_accessible(site: Path, driver: Any) -> None:
    opened(driver, site / "index.html")
    driver.execute_script("document.querySelector('main').append(Object.assign(new Image(), {src: 'x.svg'}))")
    assert any(one.startswith("image-alt") for one in violations(driver))


@pytest.mark.slow
@needs_browser
def test_the_board_is_used_with_keys_alone(site: Path, driver: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(driver).send_keys(*keys).perform()

    def at() -> str:
        return str(driver.switch_to.active_element.text or driver.switch_to.active_element.get_attribute("id"))

    def names() -> list[str]:
        rows = driver.find_elements("css selector", "tbody.methods tr:not([hidden]) th")
        return [str(row.get_attribute("data-sort")) for row in rows]

    opened(driver, of_each_kind(site)[1])
    press(Keys.TAB)
    assert at() == "Skip to the content"
    press(Keys.ENTER)
    press(Keys.TAB)
    assert at() == "filter"
    press("memit")
    assert names()
    assert all("memit" in name for name in names())
    press(*[Keys.BACKSPACE] * 5, Keys.TAB, Keys.TAB, Keys.TAB)
    assert at() == "row"
    press(Keys.ENTER)
    assert names() == sorted(names())
    press(Keys.SPACE)
    assert names() == sorted(names(), reverse=True)
    outline = driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "what has the focus is seen"


@pytest.mark.slow
@needs_browser
def test_the_copy_button_copies_the_command(site: Path, driver: Any) -> None:
    page = of_each_kind(site)[2]
    opened(driver, page)
    rights = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    driver.execute_cdp_cmd("Browser.grantPermissions", rights)
    button = driver.find_element("css selector", "button.copy")
    command = driver.find_element("css selector", ".command code").text
    button.click()
    copied = driver.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(String(error)));"
    )
    assert copied == command
    assert command.startswith("editharness eval")
    assert button.text.startswith("Copied")


@pytest.mark.slow
@needs_browser
def test_badges_and_cases_are_those_of_the_files(site: Path, driver: Any) -> None:
    opened(driver, of_each_kind(site)[2])
    badges = [one.text for one in driver.find_elements("css selector", ".standing .badge")]
    assert badges == ["schema 2", "recomputed", "reproduced", "challenged"]
    assert "<script>alert(1)</script> & no" in driver.find_element("css selector", "main").text
    cells = [one.text for one in driver.find_elements("css selector", "table.cases tbody tr:first-child td")]
    assert len(cells) == 5
    assert all(cells)
