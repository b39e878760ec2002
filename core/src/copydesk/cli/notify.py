"""`copydesk notify`: tells people what went wrong, by whatever apprise can reach. A process of its own."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Annotated

import typer

from copydesk.cli.common import folder_of, say, sealed_of

if TYPE_CHECKING:
    from pathlib import Path

    from copydesk.config import NotifySettings
    from copydesk.notifying import Notice, Watcher

LOOK_S = 1.0
SEND_S = 20.0
INSTALL = "notifications need apprise: pip install 'copydesk[notify]'"
log = logging.getLogger(__name__)


def notify(
    context: typer.Context,
    test: Annotated[bool, typer.Option("--test", help="Send one message now, say whether it went, and end.")] = False,
) -> int:
    """Follow the engine and tell people of failed copies, children out of sync, lost connections and limits.

    Where to is secret: `copydesk secrets set notify url` takes one or more addresses of apprise, parted by spaces.
    What of, and how often at the most, is in [notify] of copydesk.toml. Runs until Ctrl-C; the engine may come and go.
    """
    import asyncio

    from copydesk.config import load_config
    from copydesk.errors import UsageError
    from copydesk.secrets import NOTIFY, look_up, variable_of

    folder = folder_of(context)
    settings = load_config(folder).notify
    urls, _ = look_up(*NOTIFY, sealed_of(context))
    if not urls:
        raise UsageError(
            f"nobody to notify: give an address with `copydesk secrets set notify url` or in {variable_of(*NOTIFY)}"
        )
    post = Post(urls)
    if test:
        sent = asyncio.run(post.send("copydesk", "This is what a notification looks like."))
        say("Sent." if sent else "It could not be sent: see the address.")
        return 0 if sent else 1
    say(f"Notifying of {', '.join(settings.events)}. Ctrl-C ends it.")
    asyncio.run(_follow(folder, settings, post))
    return 0


class Post:
    """Sends messages. Holds the addresses, and shows them to nobody."""

    def __init__(self, urls: str) -> None:
        try:
            import apprise
        except ImportError:
            from copydesk.errors import UsageError

            raise UsageError(INSTALL) from None
        from copydesk.errors import UsageError

        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would write the addresses
        self._apprise = apprise.Apprise()
        for at, url in enumerate(urls.split(), start=1):
            if not self._apprise.add(url):
                raise UsageError(f"address {at} of `notify url` is none that apprise knows: see its list of services")

    def __repr__(self) -> str:
        return f"Post(<{len(self._apprise)} addresses>)"

    async def send(self, title: str, body: str) -> bool:
        """Whether all addresses took it."""
        import asyncio

        try:
            async with asyncio.timeout(SEND_S):
                return bool(await self._apprise.async_notify(title=title, body=body))
        except TimeoutError:
            return False


async def _follow(folder: Path, settings: NotifySettings, post: Post) -> None:
    """The engine's events, through its restarts."""
    import asyncio

    from copydesk.client import AsyncControlClient
    from copydesk.errors import CopydeskError
    from copydesk.notifying import Watcher

    told_away = False
    while True:
        watcher = Watcher(settings)
        try:
            async with AsyncControlClient.for_folder(folder) as client:
                await _watch(client, watcher, post)
        except CopydeskError as error:
            if not told_away:
                say(f"{error}; it is waited for.")
            told_away = True
        else:
            told_away = False
        await asyncio.sleep(LOOK_S)


async def _watch(client: object, watcher: Watcher, post: Post) -> None:
    import asyncio
    from contextlib import aclosing

    from copydesk.client import AsyncControlClient

    assert isinstance(client, AsyncControlClient)
    view = await client.view()
    watcher.begin(view.accounts, view.drift)
    waiting: asyncio.Queue[Notice] = asyncio.Queue(maxsize=1000)

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            _put(waiting, watcher.look(time.time_ns()))

    async def send() -> None:
        while True:
            notice = await waiting.get()
            if not await post.send(f"copydesk: {notice.title}", notice.body):
                say(f"A notification could not be sent: {notice.title}")

    tasks = [asyncio.create_task(look()), asyncio.create_task(send())]
    try:
        async with aclosing(client.stream(view.seq)) as events:
            async for event in events:
                _put(waiting, watcher.take(event, time.time_ns()))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _put(waiting: object, notices: list[Notice]) -> None:
    import asyncio
    from contextlib import suppress

    assert isinstance(waiting, asyncio.Queue)
    for notice in notices:
        with suppress(asyncio.QueueFull):  # bounded by what may be sent in an hour long before
            waiting.put_nowait(notice)
