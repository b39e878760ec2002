"""The websocket of a plant: a frame is taken in the very call that reads it, and one can be sent in the very call.

Else a frame would wait until a task that reads is woken, and what is sent until one that sends has run.
"""

from __future__ import annotations

from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State

from copydesk_rithmic.library import DecodeError


class Socket(ClientConnection):
    """`take` is given each frame. One that it cannot read (`DecodeError`), or in parts, and all after it, is for `recv`."""

    take: Callable[[bytes], None] | None = None

    def process_event(self, event: Frame | Response) -> None:  # type: ignore[override]
        take = self.take
        if take is not None and isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            if event.opcode is Opcode.BINARY and event.fin:
                try:
                    take(bytes(event.data))
                    return
                except DecodeError:
                    pass
            self.take = None
        super().process_event(event)

    def fire(self, data: bytes) -> bool:
        """Send a frame now; false where something is still on its way out, and nothing was sent."""
        if self.protocol.state is not State.OPEN or self.transport.get_write_buffer_size():
            return False
        self.protocol.send_binary(data)
        self.send_data()
        return True
