from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from copydesk.datafolder import (
    CONTROL_NAME,
    ControlFile,
    is_locked,
    lock_folder,
    read_control,
    remove_control,
    resolve_folder,
    write_control,
)
from copydesk.errors import ConfigError, DataFolderInUse

HOLD = """
import sys
from pathlib import Path
from copydesk.datafolder import lock_folder
lock = lock_folder(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
CONTROL = ControlFile(url="http://127.0.0.1:1", token="do-not-show-this", pid=os.getpid())


def test_the_folder_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPYDESK_DATA", str(tmp_path / "from-environment"))
    assert resolve_folder(tmp_path / "given") == tmp_path / "given"
    assert resolve_folder() == tmp_path / "from-environment"
    monkeypatch.delenv("COPYDESK_DATA")
    assert resolve_folder().name == "copydesk"


def test_one_process_at_a_time_and_none_after_it_was_killed(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(tmp_path)
        with pytest.raises(DataFolderInUse, match=rf"{tmp_path} is in use by another copydesk \(process {holder.pid}\)"):
            lock_folder(tmp_path)
        holder.kill()
    assert not is_locked(tmp_path)
    with lock_folder(tmp_path) as lock:
        assert is_locked(tmp_path)
        lock.release()
        assert not is_locked(tmp_path)


def test_how_to_reach_the_engine_is_told_to_this_user_while_it_runs(tmp_path: Path) -> None:
    with lock_folder(tmp_path):
        assert read_control(tmp_path) is None
        write_control(tmp_path, CONTROL)
        assert (tmp_path / CONTROL_NAME).stat().st_mode & 0o777 == 0o600
        assert read_control(tmp_path) == CONTROL
        (tmp_path / CONTROL_NAME).write_text("{")
        with pytest.raises(ConfigError, match="restart the engine"):
            read_control(tmp_path)
        write_control(tmp_path, CONTROL)
    assert read_control(tmp_path) is None, "a file that a crash left behind was believed"
    write_control(tmp_path, ControlFile(url="http://127.0.0.1:1", token="", pid=1))
    with lock_folder(tmp_path):
        assert read_control(tmp_path) is None, "the file of a process that does not hold the folder was believed"
    remove_control(tmp_path)
    remove_control(tmp_path)
    assert not (tmp_path / CONTROL_NAME).exists()


def test_the_token_is_not_shown() -> None:
    assert "do-not-show-this" not in repr(CONTROL)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made: Not a directory; choose another with --data"):
        lock_folder(tmp_path / "file" / "data")
    (tmp_path / "lock").mkdir()
    with pytest.raises(ConfigError, match="lock cannot be opened: Is a directory"):
        lock_folder(tmp_path)
