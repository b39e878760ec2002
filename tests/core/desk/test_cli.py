"""The command line in this process: what it prints, what it refuses, and what is stored afterwards."""

from __future__ import annotations

import json
import re
import socket
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.bots import BOTS_NAME, BotStore
from copydesk.cli import main
from copydesk.config import load_config
from copydesk.datafolder import lock_folder
from copydesk.journal import Journal
from copydesk.model import to_json
from copydesk.plugins import DISTRIBUTIONS
from copydesk.view import LogEntry
from harness.deaths import left_behind

from .conftest import Run, assert_refused

# --- help, init, plugins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("bots",),
        *[("bots", word) for word in ("list", "add", "start", "stop", "remove", "settings")],
        ("limits",),
        *[("limits", word) for word in ("show", "set", "reset")],
        ("secrets",),
        *[("secrets", word) for word in ("set", "list", "remove")],
        ("journal",),
        *[("journal", word) for word in ("verify", "show")],
        *[(word,) for word in ("init", "plugins", "accounts", "doctor", "rehearse", "drift", "certificate")],
    ],
)
def test_every_command_explains_itself(words: tuple[str, ...], run: Run) -> None:
    ran = run(*words, "--help")
    assert ran.status == 0
    assert "Usage: copydesk" in ran.out
    assert ran.err == ""


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").out.startswith("copydesk 0.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("fly",), "No such command 'fly': see `copydesk --help`"),
        (("bots", "lst"), "No such command 'lst'. Did you mean 'list'?: see `copydesk bots --help`"),
        (("bots", "list", "--xml"), "No such option"),
        (("bots", "start"), "Missing argument 'NAME...': see `copydesk bots start --help`"),
        (("journal", "show", "--limit", "many"), "Invalid value for '--limit'"),
    ],
)
def test_words_that_mean_nothing_are_one_sentence(words: tuple[str, ...], sentence: str, run: Run) -> None:
    assert_refused(run(*words), sentence)


def test_init_writes_a_configuration_that_loads_and_never_writes_over_one(tmp_path: Path, run: Run, folder: Path) -> None:
    fresh = tmp_path / "new" / "data"
    assert main(["--data", str(fresh), "init"]) == 0
    assert load_config(fresh).connections == {}
    assert fresh.stat().st_mode & 0o777 == 0o700
    before = (folder / "copydesk.toml").read_bytes()
    assert_refused(run("init"), "copydesk.toml is there already: edit it, or move it away first")
    assert (folder / "copydesk.toml").read_bytes() == before


def test_what_init_proposes_can_be_taken_out_of_its_comments(tmp_path: Path) -> None:
    main(["--data", str(tmp_path), "init"])
    path = tmp_path / "copydesk.toml"
    lines = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    config = load_config(tmp_path)
    assert set(config.connections) == {"parent", "child1", "rehearsed"}
    assert config.engine.reconcile_s == 30


def test_plugins_lists_what_is_installed_and_what_could_be(toy: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DISTRIBUTIONS, "nowhere", "copydesk-nowhere")
    kinds = {kind["kind"]: kind for kind in json.loads(run("plugins", "--json").out)}
    assert kinds["toy"] == {
        "kind": "toy",
        "installed": True,
        "plugin": "copydesk-toy",
        "version": "1.0",
        "title": "Toy venue",
        "closed_on": "",
    }
    assert kinds["nowhere"] == {"kind": "nowhere", "installed": False, "install": "pip install copydesk-nowhere"}
    words = run("plugins").out
    assert "closed on 2022-11-11, rehearsal only" in words
    assert "not installed: pip install copydesk-nowhere" in words


# --- bots ---------------------------------------------------------------------------------------------------


def add(run: Run, name: str = "first", *more: str) -> None:
    ran = run("bots", "add", name, "--parent", "parent", "--child", "child=x0.5", *more)
    assert ran.status == 0, ran


def test_a_bot_is_added_started_changed_stopped_and_removed(toy: Path, run: Run, folder: Path) -> None:
    add(run, "first", "--child", "other-child=100%,rounding=nearest,catch_up.max_age_s=30")
    (bot,) = json.loads(run("bots", "list", "--json").out)
    assert (bot["name"], bot["parent"], bot["working"]) == ("first", "parent", False)
    first, second = bot["children"]
    assert (first["account"], first["mode"], first["value"]) == ("child", "multiplier", "0.5")
    assert (second["mode"], second["value"], second["rounding"], second["catch_up"]["max_age_s"]) == (
        "percentage",
        "100",
        "nearest",
        "30",
    )
    started = run("bots", "start", "first")
    assert started.out == "Started first; no engine runs now, it takes effect with the next `copydesk run`.\n"
    assert "Working" in run("bots", "list").out
    changed = run("bots", "settings", "first", "--rename", "renamed", "--child", "other-child=x-3", "--json")
    kept = json.loads(changed.out)["children"][1]
    assert (kept["value"], kept["rounding"], kept["catch_up"]["max_age_s"]) == ("-3", "nearest", "30")
    run("bots", "settings", "renamed", "--remove-child", "child")
    assert BotStore.load(folder).get("renamed").working
    assert [child.account for child in BotStore.load(folder).get("renamed").children] == ["other-child"]
    assert "x-3" in run("bots", "settings", "renamed").out
    run("bots", "stop", "renamed")
    assert not BotStore.load(folder).get("renamed").working
    assert run("bots", "remove", "renamed").out == "Removed renamed.\n"
    assert "No bots yet" in run("bots", "list").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "b", "--parent", "parent", "--child", "parent=x1"), "account 'parent' is both parent and child"),
        (("add", "b", "--parent", "parent", "--child", "another=x1"), "must be of one connection kind"),
        (("add", "b", "--parent", "parent", "--child", "child/2=x1"), "has one account, written 'child'"),
        (("add", "b", "--parent", "parent", "--child", "child=x0"), "K must be a decimal other than 0"),
        (("add", "b", "--parent", "parent", "--child", "child=xhalf"), "the value must be a decimal"),
        (("add", "b", "--parent", "parent", "--child", "child=x1e400"), "between 0.000001 and 1000000"),
        (("add", "b", "--parent", "parent", "--child", "child"), "child 'child' needs its size: child=x0.5"),
        (("add", "b", "--parent", "parent", "--child", "child=x1,rounding"), "must be SETTING=VALUE"),
        (("add", "b", "--parent", "parent", "--child", "child=x1,rounding=up"), "'floor', 'nearest' or 'min_one'"),
        (
            ("add", "b", "--parent", "parent", "--child", "child=x1,catch_up=1,catch_up.max_age_s=2"),
            "as a whole and in part",
        ),
        (("add", "b", "--parent", "parent", "--child", "child=x1,catch_up=1"), "'catch_up' is wrong"),
        (("settings", "first", "--child", "child=x1,catch_up=1"), "'catch_up' is wrong"),
        (("add", "b", "--parent", "nowhere", "--child", "child=x1"), "unknown connection 'nowhere'"),
        (("add", "b", "--parent", "parent"), "Missing option '--child'"),
        (("add", "first", "--parent", "parent", "--child", "child=x1"), "a bot 'first' is there already"),
        (("settings", "first", "--child", "child=x0"), "K must be a decimal other than 0"),
        (("settings", "first", "--remove-child", "child"), "needs at least 1"),
        (("settings", "first", "--remove-child", "nobody"), "has no child 'nobody' to take out"),
        (("settings", "nobody"), "there is no bot 'nobody': see `copydesk bots list` (there: first)"),
        (("start", "first", "nobody"), "there is no bot 'nobody'"),
        (("remove", "first", "nobody"), "there is no bot 'nobody'"),
    ],
)
def test_what_is_refused_leaves_the_stored_bots_as_they_were(
    words: tuple[str, ...], sentence: str, toy: Path, run: Run, folder: Path
) -> None:
    add(run)
    before = (folder / BOTS_NAME).read_bytes()
    assert_refused(run("bots", *words), sentence)
    assert (folder / BOTS_NAME).read_bytes() == before


def test_a_kind_that_is_not_installed_says_what_to_install(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DISTRIBUTIONS, "nowhere", "copydesk-nowhere")
    (folder / "copydesk.toml").write_text("[connections.a]\nkind = 'nowhere'\n[connections.b]\nkind = 'nowhere'\n")
    ran = run("bots", "add", "first", "--parent", "a", "--child", "b=x1")
    assert_refused(ran, "copydesk: unknown connection kind 'nowhere': pip install copydesk-nowhere\n")
    assert not (folder / BOTS_NAME).exists()


def test_malformed_toml_is_named_with_its_line(run: Run, folder: Path) -> None:
    (folder / "copydesk.toml").write_text("[engine]\nreconcile_s = \n")
    ran = run("bots", "add", "first", "--parent", "a", "--child", "b=x1")
    assert_refused(ran, str(folder / "copydesk.toml"), "not valid TOML", "line 2")


def test_a_folder_in_use_is_not_written_to(toy: Path, run: Run, folder: Path) -> None:
    add(run)
    with lock_folder(folder):
        assert_refused(run("bots", "remove", "first"), "is in use by another copydesk (process ")
        assert "first" in run("bots", "list").out
    assert run("bots", "remove", "first").status == 0


# --- accounts, secrets --------------------------------------------------------------------------------------


def test_accounts_are_listed_with_their_kinds_bots_and_closed_venues(
    toy: Path, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DISTRIBUTIONS, "nowhere", "copydesk-nowhere")
    add(run)
    with (folder / "copydesk.toml").open("a") as file:
        file.write("[connections.lacking]\nkind = 'nowhere'\n")
    accounts = {account["account"]: account for account in json.loads(run("accounts", "--json").out)}
    assert accounts["parent"]["bots"] == ["first"]
    assert accounts["other-child"]["bots"] == []
    assert accounts["another"]["closed_on"] == "2022-11-11"
    assert accounts["lacking"]["problem"] == "unknown connection kind 'nowhere': pip install copydesk-nowhere"
    words = run("accounts").out
    assert "the venue closed on 2022-11-11: rehearsal only" in words
    assert "pip install copydesk-nowhere" in words


def test_keys_are_set_listed_and_removed_and_never_printed(
    toy: Path, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPYDESK_PASSPHRASE", "open sesame")
    monkeypatch.setenv("COPYDESK_CHILD_KEY", "do-not-show-this")
    ran = run("secrets", "set", "parent", "key", stdin="do-not-show-this\n")
    assert ran.out == "Stored the key of parent in the sealed file.\n"
    listed = json.loads(run("secrets", "list", "--json").out)
    sources = {(entry["connection"], entry["field"]): entry["source"] for entry in listed}
    assert sources["parent", "key"] == "sealed"
    assert sources["parent", "secret"] == "missing"
    assert sources["child", "key"] == "environment"
    everything = ran.out + run("secrets", "list").out + run("accounts", "--json").out + run("doctor", "--json").out
    assert "do-not-show-this" not in everything
    assert b"do-not-show-this" not in b"".join(path.read_bytes() for path in folder.iterdir())
    assert run("secrets", "remove", "parent", "key").out == "Removed the key of parent.\n"
    assert_refused(run("secrets", "remove", "parent", "key"), "has no 'key' of connection 'parent'")


@pytest.mark.parametrize(
    ("words", "stdin", "sentence"),
    [
        (("set", "nowhere", "key"), "x\n", "unknown connection 'nowhere'"),
        (("set", "parent", "pin"), "x\n", "has no secret field 'pin'; it has: key, secret"),
        (("set", "parent", "key"), "", "is empty"),
        (("set", "parent", "key"), "a\x07b\n", "characters that no key has"),
        (("set", "parent", "key"), "x\n", "set COPYDESK_PASSPHRASE, give --passphrase-file, or run on a terminal"),
    ],
)
def test_a_key_that_cannot_be_stored_is_one_sentence(
    words: tuple[str, ...], stdin: str, sentence: str, toy: Path, run: Run, folder: Path
) -> None:
    assert_refused(run("secrets", *words, stdin=stdin), sentence)
    assert not (folder / "secrets.sealed").exists()


def test_ctrl_c_is_status_130(toy: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(connection: str, field: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("copydesk.cli.secrets._read_value", interrupt)
    assert run("secrets", "set", "parent", "key").status == 130


# --- doctor -------------------------------------------------------------------------------------------------


def findings(run: Run) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["status"], check["finding"]) for check in json.loads(run("doctor", "--json").out)}


def test_the_doctor_finds_a_sound_folder_sound(toy: Path, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "copydesk.toml").write_text("[connections.parent]\nkind = 'toy'\n[connections.child]\nkind = 'toy'\n")
    for name in ("PARENT", "CHILD"):
        monkeypatch.setenv(f"COPYDESK_{name}_KEY", "k")
        monkeypatch.setenv(f"COPYDESK_{name}_SECRET", "s")
    add(run)
    with Journal.open(folder / "journal.db") as journal:
        journal.append("engine", b"{}", at_ns=1)
    found = findings(run)
    assert {status for status, _ in found.values()} <= {"ok", "warn"}
    assert found["connection parent"] == ("ok", "Toy venue, 2 keys found")
    assert found["bots"] == ("ok", "1 bots, 0 of them working")
    assert re.fullmatch(r"1 rows, \d\.\d MB", found["journal"][1])
    assert found["disk"][1].startswith("a sync takes ")
    assert run("doctor").status == 0


def test_the_doctor_says_that_the_last_rows_wait_after_a_kill(toy: Path, run: Run, folder: Path, tmp_path: Path) -> None:
    add(run)
    (tmp_path / "alive").mkdir()
    with Journal.open(tmp_path / "alive" / "journal.db") as journal:
        journal.append("engine", b"{}", at_ns=1)
        journal.keep()
        left_behind(tmp_path / "alive" / "journal.db", folder)
    status, finding = findings(run)["journal"]
    assert status == "ok"
    assert "takes its last rows from journal.db-spool, keep both files together" in finding


def test_the_doctor_says_what_would_not_work(toy: Path, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(run)
    (folder / "journal.db").write_text("no journal" * 100)
    text = (folder / "copydesk.toml").read_text().replace("[connections.other-child]", "[connections.renamed]")
    (folder / "copydesk.toml").write_text(text.replace('url = "http://127.0.0.1:9"', ""))
    folder.chmod(0o755)
    monkeypatch.setenv("COPYDESK_ANOTHER_KEY", "k")
    monkeypatch.setenv("COPYDESK_ANOTHER_SECRET", "s")
    found = findings(run)
    assert found["connection parent"][0] == "fail"
    assert "copydesk secrets set parent key" in found["connection parent"][1]
    assert found["control API"] == ("ok", "127.0.0.1 port any is free")
    assert found["connection another"] == ("fail", "Closed toy closed on 2022-11-11: give the `url` of a rehearsal")
    assert found["journal"][0] == "fail"
    assert found["data folder"] == ("warn", f"{folder} is open to other users: chmod 700 it")
    assert run("doctor").status == 1
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (folder / "copydesk.toml").write_text(f"[control]\nport = {taken.getsockname()[1]}\n")
        status, words = findings(run)["control API"]
    assert (status, "(Address already in use): choose another" in words) == ("fail", True)
    (folder / "copydesk.toml").write_text("[engine")
    assert findings(run)["configuration"][0] == "fail"
    assert findings(run)["bots"][0] == "fail"


def test_the_doctor_comes_to_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "nowhere"), "doctor"]) == 1
    assert "make it with `copydesk init`" in capsys.readouterr().out
    assert not (tmp_path / "nowhere").exists()


# --- journal ------------------------------------------------------------------------------------------------


@pytest.fixture
def journal_path(folder: Path) -> Path:
    path = folder / "journal.db"
    with Journal.open(path) as journal:
        for minute in range(10):
            at_ns = (1_767_225_600 + 60 * minute) * 1_000_000_000  # 2026-01-01T00:00 UTC and on
            bot = f"bot{minute % 2}"
            entry = LogEntry(at_ns=at_ns, level="info", kind="copied", text=f"line {minute}", bot=bot, account="child")
            journal.append("log", to_json(entry), at_ns=at_ns, bot=bot, account="child")
            journal.append("input", to_json({"price": Decimal("1.50")}), at_ns=at_ns, account="parent")
        journal.append("engine", b"\xff\x00", at_ns=at_ns + 1)
    return path


def shown(run: Run, *words: str) -> list[int]:
    ran = run("journal", "show", "--json", *words)
    assert ran.status == 0, ran
    return [json.loads(line)["seq"] for line in ran.out.splitlines()]


def test_the_journal_is_shown_by_bot_account_period_and_kind(journal_path: Path, run: Run) -> None:
    assert shown(run) == list(range(1, 22))
    assert shown(run, "--bot", "bot1") == [3, 7, 11, 15, 19]
    assert shown(run, "--account", "parent", "--limit", "2") == [18, 20]
    assert shown(run, "--kind", "engine", "--kind", "input", "--limit", "3") == [18, 20, 21]
    assert shown(run, "--from", "2026-01-01T00:08:00+00:00") == [17, 18, 19, 20, 21]
    assert shown(run, "--to", "2026-01-01T00:01:00Z", "--limit", "0") == [1, 2]
    assert shown(run, "--from", "1m") == []
    lines = [json.loads(line) for line in run("journal", "show", "--json", "--limit", "2").out.splitlines()]
    assert lines[0]["body"] == {"price": "1.50"}
    assert lines[1]["body_base64"] == "/wA="
    assert len(lines[1]["hash"]) == 64
    assert "bot1 child" in run("journal", "show").out
    assert "line 9" in run("journal", "show").out
    assert_refused(run("journal", "show", "--from", "yesterday"), "--from 'yesterday' is no time")


def test_the_journal_is_verified(journal_path: Path, run: Run) -> None:
    import apsw

    assert json.loads(run("journal", "verify", "--json").out) == {"ok": True, "rows": 21}
    assert run("journal", "verify").out == "The journal holds: 21 rows, none changed, removed or put in.\n"
    connection = apsw.Connection(str(journal_path))
    connection.execute("UPDATE journal SET body = CAST(replace(body, 'line 3', 'line 4') AS BLOB) WHERE seq = 7")
    connection.close()
    ran = run("journal", "verify", "--json")
    assert ran.status == 1
    assert json.loads(ran.out)["first_bad_row"] == 7
    assert_refused(run("journal", "verify"), "row 7 is not as it was written", status=1)


def test_without_a_journal_there_is_nothing_to_show(run: Run, folder: Path) -> None:
    assert_refused(run("journal", "verify"), "there is no journal at", "made when an engine first runs", status=1)
    assert not (folder / "journal.db").exists()


# --- rehearse -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nyse",), "unknown connection kind 'nyse'"),
        (("toy", "--accounts", " , "), "must name one account or more"),
        (("toy", "--accounts", "a,b,a"), "each once"),
        (("toy", "--cash", "much"), "--cash 'much' must be a number above 0"),
        (("toy", "--cash", "NaN"), "--cash 'NaN' must be a number above 0"),
        (("toy", "--speed", "-1"), "--speed '-1' must be a number above 0"),
        (("toy", "--market", "nowhere.zst"), "--market 'nowhere.zst' is no file"),
        (("toy", "--port", "70000"), "Invalid value for '--port'"),
    ],
)
def test_a_rehearsal_that_cannot_be_is_one_sentence(words: tuple[str, ...], sentence: str, toy: Path, run: Run) -> None:
    assert_refused(run("rehearse", *words), sentence)


def test_a_kind_of_row_that_there_is_not_is_refused(run: Run) -> None:
    assert_refused(run("journal", "show", "--kind", "inputs"), "the kinds are input, intent, log, engine")
