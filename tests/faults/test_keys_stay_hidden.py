"""Keys in use on a real run appear nowhere: not in a file of the data folder, not in an output, not in an answer."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from copydesk.client import AsyncControlClient
from copydesk.datafolder import ControlFile, read_control
from copydesk.model import RehearsalReady, from_json, to_json
from copydesk.secrets import variable_of
from harness.demos import COMMAND

PATIENCE_S = 60.0
PASSPHRASE = "a passphrase that nobody else says"


@pytest.fixture
def venue() -> Iterator[RehearsalReady]:
    words = [COMMAND, "rehearse", "binance-futures", "--accounts", "parent,child", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield from_json(process.stdout.readline(), RehearsalReady)
        finally:
            process.terminate()


@pytest.mark.slow
def test_keys_in_use_appear_nowhere(venue: RehearsalReady, tmp_path: Path) -> None:
    """The parent's keys come from the sealed file, the child's from the environment; wrong ones make the venue complain."""
    folder = tmp_path / "data"
    said: dict[str, str] = {}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COPYDESK_")}
    environment |= {"COPYDESK_DATA": str(folder), "COPYDESK_PASSPHRASE": PASSPHRASE}
    secrets = {account.name: account.secrets for account in venue.accounts}
    secrets["wrong"] = {"key": "f" * 63 + "1", "secret": "e" * 63 + "2"}
    for name in ("child", "wrong"):
        environment |= {variable_of(name, field): value for field, value in secrets[name].items()}

    def run(*words: str, given: str = "") -> None:
        ran = subprocess.run(
            [COMMAND, *words], input=given, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        said[" ".join(words)] = ran.stdout + ran.stderr

    run("init")
    options = "".join(f'{name} = "{value}"\n' for name, value in venue.accounts[0].options.items())
    with (folder / "copydesk.toml").open("a") as file:
        file.writelines(f'[connections.{name}]\nkind = "binance-futures"\n{options}' for name in secrets)
    for field, value in secrets["parent"].items():
        run("secrets", "set", "parent", field, given=f"{value}\n")
    run("bots", "add", "b", "--parent", "parent", "--child", "child=x0.5", "--start")

    with subprocess.Popen(
        [COMMAND, "run"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as engine:
        assert engine.stdout is not None
        try:
            said["run"] = engine.stdout.readline()  # it serves by now
            control = read_control(folder)
            assert control is not None, said["run"]
            base = f"{control.url}/api/v1"
            headers = {"Authorization": f"Bearer {control.token}"}
            with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
                asyncio.run(told(control, "bot 'b' started"))
                terms = {"symbol": venue.symbols[0], "side": "buy", "type": "market", "quantity": "0.01"}
                answer = client.post(f"{base}/accounts/parent/orders", json=terms)
                assert answer.status_code == 200, answer.text
                said["order"] = answer.text
                asyncio.run(told(control, "Copied", "refused"))
                for path in ("view", "log", "bots", "accounts", "kinds", "health"):
                    said[path] = client.get(f"{base}/{path}").text
            for words in ("accounts", "bots list", "secrets list", "plugins", "doctor", "journal show --limit 0"):
                run(*words.split(), "--json")
                run(*words.split())
        finally:
            engine.terminate()
            said["run"] += engine.stdout.read()
    said |= {file.name: file.read_bytes().decode("latin-1") for file in folder.iterdir() if file.is_file()}
    assert {"engine.log", "journal.db", "secrets.sealed", "bots.toml"} <= said.keys()
    hidden = [PASSPHRASE, *(value for fields in secrets.values() for value in fields.values())]
    assert [where for where, text in said.items() if any(value in text for value in hidden)] == []


async def told(control: ControlFile, *words: str) -> None:
    """Return once the engine has told of all the words, in whatever it has told since it began."""
    wanted = set(words)
    async with asyncio.timeout(PATIENCE_S), AsyncControlClient(control.url, control.token) as client:
        view = await client.view()
        before = to_json((view, await client.log())).decode()
        events = client.stream(view.seq)
        while wanted := {word for word in wanted if word not in before}:
            before = to_json(await anext(events)).decode()
        await events.aclose()
