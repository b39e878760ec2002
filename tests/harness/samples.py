"""A payload of a rehearsal venue beside a recorded one: the fields that it has, and the kind of each value."""

import re

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def part(value, way):
    for step in way.split(".") if way else ():
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def kind_of(value):
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "number text" if NUMBER.fullmatch(value) else "text"
    return type(value).__name__


ALIKE = ({"text", "number text"}, {"NoneType", "text"}, {"NoneType", "number text"})


def differences(sample, ours, missing, newer, free=frozenset(), place=""):
    """Where our payload differs from the sample in fields or in the kind of a value.

    `missing` and `newer` are fields that only the sample or only ours may have; of those in `free` a text may be a number.
    """
    if isinstance(sample, dict) and isinstance(ours, dict):
        for name in sample.keys() - ours.keys():
            if name not in missing:
                yield f"{place}{name}: not sent"
        for name in ours.keys() - sample.keys():
            if (
                name not in newer
                and f"{place}{name}" not in newer
                and not any(f"{place}{name}".endswith(f".{one}") for one in newer)
            ):
                yield f"{place}{name}: sent, but not in the sample"
        for name in sample.keys() & ours.keys():
            if name not in newer:
                yield from differences(sample[name], ours[name], missing, newer, free, f"{place}{name}.")
    elif isinstance(sample, list) and isinstance(ours, list):
        if sample and ours and isinstance(sample[0], list | dict):
            yield from differences(sample[0], ours[0], missing, newer, free, f"{place}0.")
        elif sample and ours and len(sample) > 2:
            for index, (one, other) in enumerate(zip(sample, ours, strict=False)):
                yield from differences(one, other, missing, newer, free, f"{place}{index}.")
    elif (kinds := {kind_of(sample), kind_of(ours)}) and len(kinds) > 1:
        name = place.rstrip(".").rpartition(".")[2]
        if not (name in free and kinds in ALIKE):
            yield f"{place.rstrip('.')}: {sample!r} in the sample, {ours!r} sent"
