from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from editharness.errors import EditHarnessError, RecordError, UsageError
from editharness.export.folder import check_free, new_folder


def test_a_folder_appears_whole_and_for_all_to_read(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with new_folder(target) as part:
        (part / "file").write_text("x")
        (part / "file").chmod(0o600)
        assert not target.exists()
    assert stat.S_IMODE((target / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert os.listdir(tmp_path / "a") == ["b"]


def fill(target: Path, error: BaseException | None, *, theirs: bool = False) -> None:
    """Write half of a folder and fail; with `theirs`, somebody else makes it meanwhile."""
    with new_folder(target) as part:
        (part / "file").write_text("half")
        if theirs:
            target.mkdir()
            (target / "theirs").write_text("")
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_nothing_is_left_of_what_fails(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        fill(tmp_path / "out", error)
    assert not os.listdir(tmp_path)


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"--save .*out: cannot be written \(No space left"):
        fill(tmp_path / "out", OSError(28, "No space left on device"))
    assert not os.listdir(tmp_path)


def test_an_empty_folder_is_free_and_anything_else_is_not(tmp_path: Path) -> None:
    empty, used, file, link = (tmp_path / name for name in ("empty", "used", "file", "link"))
    empty.mkdir()
    used.mkdir()
    (used / "config.json").write_text("{}")
    file.write_text("")
    link.symlink_to(empty)
    check_free(empty)
    with new_folder(empty) as part:
        (part / "x").write_text("")
    assert os.listdir(empty) == ["x"]
    wrong: list[tuple[Path, str]] = [
        (used, "is in use (not empty)"), (file, "is a file"), (link, "is a link"), (Path(), "name a folder to make"),
        (file / "below", "no folder can be made in"),
    ]  # fmt: skip
    for path, line in wrong:
        with pytest.raises(EditHarnessError) as caught:
            check_free(path)
        assert line in str(caught.value)
    assert os.listdir(used) == ["config.json"]


def test_a_folder_that_somebody_fills_meanwhile_is_left_to_them(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with pytest.raises(UsageError, match="is in use"):
        fill(target, None, theirs=True)
    assert os.listdir(tmp_path) == ["out"]
    assert os.listdir(target) == ["theirs"]
