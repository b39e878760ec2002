"""`copydesk plugins`: what is installed, and what could be."""

from __future__ import annotations

from typing import Any

from copydesk.cli.common import Json, print_json, print_table


def plugins(as_json: Json = False) -> None:
    """List connection kinds: those installed, and those that could be."""
    from copydesk.plugins import DISTRIBUTIONS, installed_kinds

    installed = installed_kinds()
    kinds = [_kind(kind) for kind in installed]
    there = {kind["plugin"] for kind in kinds}
    kinds += [
        {
            "kind": kind,
            "installed": False,
            "install": f"pip install {'--upgrade ' if distribution in there else ''}{distribution}",
        }
        for kind, distribution in DISTRIBUTIONS.items()
        if kind not in installed
    ]
    if as_json:
        print_json(kinds)
        return
    rows = [(kind["kind"], kind.get("title", ""), kind.get("plugin", ""), _remark(kind)) for kind in kinds]
    print_table(("kind", "title", "plugin", ""), rows, empty="")


def _kind(kind: str) -> dict[str, Any]:
    from copydesk.errors import PluginError
    from copydesk.plugins import describe_kind, distribution_of, find_kind

    entry = find_kind(kind)
    found: dict[str, Any] = {"kind": kind, "installed": True, "plugin": distribution_of(entry)}
    found["version"] = entry.dist.version if entry.dist else ""
    try:
        info = describe_kind(kind)
    except PluginError as error:
        return {**found, "problem": str(error)}
    return {**found, "title": info.title, "closed_on": info.closed_on}


def _remark(kind: dict[str, Any]) -> str:
    if not kind["installed"]:
        return f"not installed: {kind['install']}"
    if "problem" in kind:
        return f"cannot be used: {kind['problem']}"
    closed = f"; closed on {kind['closed_on']}, rehearsal only" if kind["closed_on"] else ""
    return f"installed, {kind['version']}{closed}"
