"""Where two states differ: the path to each place, and what stands there in either."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from copydesk.state import ParentBook


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """One line for each place in which two values differ; none where they are equal."""
    if ours == theirs:
        return
    if dataclasses.is_dataclass(ours) and type(ours) is type(theirs):
        for field in dataclasses.fields(ours):
            if field.compare:
                yield from differences(getattr(ours, field.name), getattr(theirs, field.name), f"{path}.{field.name}")
    elif isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in {**ours, **theirs}:
            if key in ours and key in theirs:
                yield from differences(ours[key], theirs[key], f"{path}[{key!r}]")
            elif not _is_blank(only := ours.get(key, theirs.get(key))):
                yield f"{path}[{key!r}]: {only!r} on one side only"
    elif isinstance(ours, Sequence) and not isinstance(ours, str) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{path}[{number}]")
    else:
        yield f"{path}: {ours!r} and {theirs!r}"


def _is_blank(record: Any) -> bool:
    """Something that was looked up, and nothing was done to it since."""
    return isinstance(record, ParentBook) and record == ParentBook()
