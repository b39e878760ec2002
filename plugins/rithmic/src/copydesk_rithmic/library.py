"""The one door to async-rithmic: its protobuf messages by template id, and its logging kept off standard output.

The library hangs a handler on standard output when it is imported, where programs of ours print JSON. What it logs goes
to the logger `rithmic`, as every library's does.
"""

from __future__ import annotations

import logging
from typing import Any

import async_rithmic
from async_rithmic import protocol_buffers
from async_rithmic.plants import HistoryPlant, OrderPlant, PnlPlant, TickerPlant
from async_rithmic.plants.base import TEMPLATES_MAP, BasePlant
from google.protobuf.message import DecodeError

__all__ = [
    "TEMPLATES",
    "BasePlant",
    "DecodeError",
    "HistoryPlant",
    "Message",
    "OrderPlant",
    "PnlPlant",
    "TickerPlant",
    "async_rithmic",
    "decode",
    "encode",
    "fields_of",
    "protocol_buffers",
]

Message = Any
"""A protobuf message of the library. Its classes are made at run time: there is no static type."""
TEMPLATES: dict[int, type[Any]] = TEMPLATES_MAP
"""The message classes by template id."""
LENGTH = 4
"""Bytes before each message that say how long it is, the greatest first."""

_log = logging.getLogger("rithmic")
for _handler in list(_log.handlers):
    _log.removeHandler(_handler)


def encode(template_id: int, **fields: Any) -> bytes:
    """One frame. A field that is None is left out; a list fills a repeated field.

    As on the wire of Rithmic, the length of the message stands before it.
    """
    message = TEMPLATES[template_id](template_id=template_id, **{k: v for k, v in fields.items() if v is not None})
    body: bytes = message.SerializeToString()
    return len(body).to_bytes(LENGTH, "big") + body


def decode(frame: bytes) -> Message | None:
    """The message of a frame; None for a template that the library does not know. Raises `DecodeError`."""
    body = frame[LENGTH:]
    if len(frame) < LENGTH or int.from_bytes(frame[:LENGTH], "big") != len(body):
        raise DecodeError("the frame is not as long as it says")
    base = protocol_buffers.base_pb2.Base()
    base.ParseFromString(body)
    type_ = TEMPLATES.get(base.template_id)
    if type_ is None:
        return None
    message = type_()
    message.ParseFromString(body)
    return message


def fields_of(message: Message) -> dict[str, Any]:
    """The fields that a message carries, zeros and empty texts left out (the library's messages do not tell them apart)."""
    return {field.name: list(value) if field.is_repeated else value for field, value in message.ListFields()}
