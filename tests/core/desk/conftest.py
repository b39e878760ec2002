"""A data folder, the command line in this process, and a small but whole venue plugin that is really installed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from copydesk.cli import main
from copydesk.lease import RUNTIME_VARIABLE

CONFIG = """\
[engine]
reconcile_s = 5

[connections.parent]
kind = "toy"

[connections.child]
kind = "toy"

[connections.other-child]
kind = "toy"

[connections.another]
kind = "toy-closed"
url = "http://127.0.0.1:9"
"""

TOY = """
import asyncio
from pathlib import Path
from types import SimpleNamespace
from copydesk.hookspecs import hookimpl
from copydesk.model import Capabilities, Description, Field, KindInfo, RehearsalReady, RehearsedAccount

FIELDS = (
    Field(name="url", title="Address", required=False),
    Field(name="key", title="API key", secret=True),
    Field(name="secret", title="API secret", secret=True),
)

@hookimpl
def describe():
    kinds = (
        KindInfo(kind="toy", title="Toy venue", capabilities=Capabilities(), fields=FIELDS),
        KindInfo(kind="toy-closed", title="Closed toy", capabilities=Capabilities(), fields=FIELDS, closed_on="2022-11-11"),
    )
    return Description(api=1, name="toy", version="1.0", kinds=kinds)

@hookimpl
async def connect(settings): ...
@hookimpl
async def subscribe(session, subscription): yield
@hookimpl
async def place(session, order): ...
@hookimpl
async def modify(session, change): ...
@hookimpl
async def cancel(session, order): ...
@hookimpl
async def snapshot(session, request): ...
@hookimpl
async def close(session): ...

@hookimpl
async def rehearse(settings):
    server = await asyncio.start_server(lambda reader, writer: writer.close(), settings.host, settings.port)
    port = server.sockets[0].getsockname()[1]
    accounts = tuple(
        RehearsedAccount(name=name, options={"url": "http://toy"}, secrets={"key": "K-" + name, "secret": "S-" + name})
        for name in settings.accounts
    )
    urls = {"rest": f"http://127.0.0.1:{port}"}
    ready = RehearsalReady(kind=settings.kind, urls=urls, accounts=accounts, symbols=("TOYUSDT",), control_url="")
    async def stop():
        server.close()
        await server.wait_closed()
        Path(__file__).with_name("stopped").touch()
    return SimpleNamespace(ready=ready, stop=stop)
"""


class Ran(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


def install_plugin(
    site: Path, module: str, source: str, kinds: tuple[str, ...], distribution: str = "copydesk-toy"
) -> None:
    """Put a plugin into a folder of the import path as pip would."""
    (site / f"{module}.py").write_text(source)
    metadata = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    entries = "".join(f"{kind} = {module}\n" for kind in kinds)
    (metadata / "entry_points.txt").write_text(f"[copydesk.venues]\n{entries}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the import path, for plugins of this test alone."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return folder


@pytest.fixture
def toy(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy plugin, installed."""
    monkeypatch.delitem(sys.modules, "toy_venue", raising=False)
    install_plugin(site, "toy_venue", TOY, ("toy", "toy-closed"))
    return site


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never look into the keyring of whoever runs the tests, nor into their environment."""
    import keyring
    from keyring.backends.null import Keyring

    monkeypatch.setattr("keyring.core._keyring_backend", Keyring())
    assert isinstance(keyring.get_keyring(), Keyring)
    for name in [name for name in os.environ if name.startswith("COPYDESK_") and name != RUNTIME_VARIABLE]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a configuration of four connections."""
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    (path / "copydesk.toml").write_text(CONFIG)
    return path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command on the data folder, as a shell would: its status and what it wrote."""

    def run_command(*words: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        status = main(["--data", str(folder), *words])
        written = capsys.readouterr()
        return Ran(status, written.out, written.err)

    return run_command


def assert_refused(ran: Ran, *words: str, status: int = 2) -> None:
    """One sentence on standard error with these words in it, nothing on standard output, and the exit status."""
    assert (ran.status, ran.out) == (status, ""), ran
    assert ran.err.startswith("copydesk: ")
    assert ran.err.count("\n") == 1, ran.err
    for word in words:
        assert word in ran.err
