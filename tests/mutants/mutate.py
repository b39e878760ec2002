"""Mutants of the pure engine: which there are, and how one takes the place of the real thing. `mutmut` makes them.

A mutant is one function of one module with one small change. In a process of its own the function's code is replaced in
place, so that whoever has imported the function runs the mutant.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
from mutmut.mutation.file_mutation import create_mutations

ENGINE = Path(__file__).parents[2] / "core/src/copydesk"
PROSE = (cst.FormattedString, cst.FormattedStringText)


@dataclass(frozen=True)
class Mutant:
    """`name`: module, function and number; the same from run to run while the function stays as it is."""

    name: str
    module: str
    function: str  # qualified: `Copier.apply`
    before: str
    after: str
    source: str  # of the whole function, mutated


def mutants_of(module: str) -> Iterator[Mutant]:
    """All mutants of a module, without those of sentences that people read."""
    path = ENGINE / f"{module}.py"
    code = path.read_text(encoding="utf-8")
    tree, mutations, *_ = create_mutations(str(path), code)
    places = {id(function): (name, function) for name, function in _functions(tree)}
    counts: dict[str, int] = {}
    for mutation in mutations:
        outer = mutation.contained_by_top_level_function
        if outer is None or id(outer) not in places or _is_prose(mutation.original_node):
            continue
        function, node = places[id(outer)]
        mutated = node.deep_replace(mutation.original_node, mutation.mutated_node)
        assert isinstance(mutated, cst.FunctionDef)
        counts[function] = counts.get(function, 0) + 1
        yield Mutant(
            name=f"{module}.{function}.{counts[function]}",
            module=module,
            function=function,
            before=_text(mutation.original_node),
            after=_text(mutation.mutated_node),
            source=cst.Module(body=[mutated]).code,
        )


def _functions(tree: cst.Module) -> Iterator[tuple[str, cst.FunctionDef]]:
    for statement in tree.body:
        if isinstance(statement, cst.FunctionDef):
            yield statement.name.value, statement
        elif isinstance(statement, cst.ClassDef):
            for part in statement.body.body:
                if isinstance(part, cst.FunctionDef):
                    yield f"{statement.name.value}.{part.name.value}", part


def _is_prose(node: cst.CSTNode) -> bool:
    """A string that people read: what it says is not the engine's affair."""
    return isinstance(node, PROSE) or (isinstance(node, cst.SimpleString) and " " in node.value)


def _text(node: cst.CSTNode) -> str:
    return cst.Module(body=[]).code_for_node(node)[:120]


def plant(mutant: Mutant) -> None:
    """Put the mutant in the place of the real function, for the rest of this process."""
    module = importlib.import_module(f"copydesk.{mutant.module}")
    space = dict(vars(module))
    exec(compile("from __future__ import annotations\n" + mutant.source, f"<{mutant.name}>", "exec"), space)
    new = _plain(space[mutant.function.rpartition(".")[2]])
    owner: Any = module
    for part in mutant.function.split("."):
        owner = vars(owner)[part]
    real = _plain(owner)
    real.__code__, real.__defaults__, real.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


def _plain(found: Any) -> types.FunctionType:
    """The function behind a property, a class method, a static method or a cache."""
    for attribute in ("fget", "__func__", "__wrapped__"):
        found = getattr(found, attribute, None) or found
    assert isinstance(found, types.FunctionType), found
    return found
