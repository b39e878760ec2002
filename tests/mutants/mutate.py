"""Mutants of the pure engine: which there are, and how one takes the place of the real thing. `mutmut` makes them.

A mutant is one function of one module with one small change. In a process of its own the function's code is replaced in
place, so that whoever has imported the function runs the mutant.
"""

from __future__ import annotations

import importlib
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
import libcst.matchers as m
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import create_mutations

ENGINE = Path(__file__).parents[2] / "core/src/copydesk"
LONG, BESIDE = 60, 24
"""A change in a text of more characters is told with so many beside it."""
WORDS = m.ClassDef(bases=[m.Arg(m.Name("Word"))])
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
    first: int = 0  # the lines of the statement that is changed; 0 for the whole function
    last: int = 0
    table: str = ""  # what the function makes as the module is imported: a dictionary of the module
    of_words: bool = False  # it makes the words of an enumeration, as the module is imported

    @property
    def change(self) -> str:
        """`x > 0 -> x >= 0`: what is different, with what stands beside it, where the whole is long."""
        before, after = self.before, self.after
        if max(len(before), len(after)) > LONG:
            start = _alike(before, after)
            end = _alike(before[start:][::-1], after[start:][::-1])
            start, end = max(0, start - BESIDE), max(0, end - BESIDE)
            before, after = before[start : len(before) - end], after[start : len(after) - end]
        return f"{before} -> {after}"


def _alike(one: str, other: str) -> int:
    """How many characters they begin with in common."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def mutants_of(module: str) -> Iterator[Mutant]:
    """All mutants of a module, without those of sentences that people read."""
    path = ENGINE / f"{module}.py"
    code = path.read_text(encoding="utf-8")
    tree, mutations, *_ = create_mutations(str(path), code)
    places = {id(function): (name, function) for name, function in _functions(tree)}
    positions = MetadataWrapper(tree, unsafe_skip_copy=True).resolve(PositionProvider)
    statements = sorted(_statements(tree, positions), key=lambda span: span[1] - span[0])
    tables, strict = dict(_tables(tree)), _strict_values(tree)
    words = {f"{found.name.value}.__init__" for found in m.findall(tree, WORDS) if isinstance(found, cst.ClassDef)}
    counts: dict[str, int] = {}
    for mutation in mutations:
        outer = mutation.contained_by_top_level_function
        if outer is None or id(outer) not in places or _is_prose(mutation.original_node):
            continue
        function, node = places[id(outer)]
        mutated = node.deep_replace(mutation.original_node, mutation.mutated_node)
        assert isinstance(mutated, cst.FunctionDef)
        counts[function] = counts.get(function, 0) + 1
        if id(mutation.original_node) in strict:
            continue
        if any(rule(mutation.original_node, mutation.mutated_node) for rule in ALIKE):
            continue
        first, last = _lines(positions[mutation.original_node], statements)
        yield Mutant(
            name=f"{module}.{function}.{counts[function]}",
            module=module,
            function=function,
            before=_text(mutation.original_node),
            after=_text(mutation.mutated_node),
            source=cst.Module(body=[mutated]).code,
            first=first,
            last=last,
            table=tables.get(function, ""),
            of_words=function in words,
        )


def _tables(tree: cst.Module) -> Iterator[tuple[str, str]]:
    """(function, name) of each `name = function()` of the module itself."""
    for assign in m.findall(tree, m.Assign(value=m.Call(func=m.Name(), args=[]))):
        assert isinstance(assign, cst.Assign)
        assert isinstance(assign.value, cst.Call)
        function, name = assign.value.func, assign.targets[0].target
        if isinstance(function, cst.Name) and isinstance(name, cst.Name):
            yield function.value, name.value


def _statements(tree: cst.Module, positions: Mapping[cst.CSTNode, CodeRange]) -> Iterator[tuple[int, int]]:
    """First and last line of each simple statement, and of what stands before the body of each other one."""
    for node, place in positions.items():
        if isinstance(node, cst.SimpleStatementLine):
            yield place.start.line, place.end.line
        elif isinstance(node, (cst.If, cst.For, cst.While, cst.With, cst.Match)):
            inner = node.cases[0] if isinstance(node, cst.Match) else node.body
            yield place.start.line, max(place.start.line, positions[inner].start.line)


def _lines(place: CodeRange, statements: list[tuple[int, int]]) -> tuple[int, int]:
    """The lines of the smallest statement around a place; the head of a function has none, and counts as all of it."""
    first, last = place.start.line, place.end.line
    return next((span for span in statements if span[0] <= first and last <= span[1]), (0, 0))


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


# --- mutants that do the same -----------------------------------------------------------------------------------------


def _a_key_alone(before: cst.CSTNode, after: cst.CSTNode) -> bool:
    """`waiting[key] = ""` for `waiting[key] = None`: a dictionary that is a set in order, nobody reads its values."""
    nothing = m.Assign(targets=[m.AssignTarget(m.Subscript())], value=m.Name("None"))
    return m.matches(before, nothing) and m.matches(after, m.Assign(value=m.SimpleString('""')))


def _a_unit(before: cst.CSTNode, after: cst.CSTNode) -> bool:
    """1_000_001 for the nanoseconds of a millisecond, and so on: a millionth more or less is below every grain."""
    return m.matches(before, m.Integer() | m.Float()) and before.evaluated_value in (10**6, 10**9)  # type: ignore[attr-defined]


def _a_sum_from_zero(before: cst.CSTNode, after: cst.CSTNode) -> bool:
    """`sum(x)` for `sum(x, ZERO)`: of nothing that is 0, which is equal to `ZERO` wherever numbers are used."""
    from_zero = m.Call(func=m.Name("sum"), args=[m.Arg(), m.Arg(value=m.Name("ZERO"))])
    return m.matches(before, from_zero) and m.matches(after, m.Call(args=[m.Arg(value=~m.Name("ZERO"))]))


def _strictness(before: cst.CSTNode, after: cst.CSTNode) -> bool:
    """`zip` without `strict=True`: both are of one length, and `strict` says so to whoever changes that."""
    if not m.matches(before, m.Call(func=m.Name("zip"))):
        return False
    assert isinstance(before, cst.Call)
    assert isinstance(after, cst.Call)
    plain = [arg.value for arg in before.args if arg.keyword is None]
    return plain == [arg.value for arg in after.args if arg.keyword is None]


def _strict_values(tree: cst.Module) -> set[int]:
    """The values of `strict` themselves, by `id`: the same for these."""
    calls = m.findall(tree, m.Call(func=m.Name("zip")))
    args = (arg for call in calls if isinstance(call, cst.Call) for arg in call.args)
    return {id(arg.value) for arg in args if arg.keyword is not None}


def _by_a_sign(before: cst.CSTNode, after: cst.CSTNode) -> bool:
    """`x / sign` for `x * sign`: a sign is 1 or -1."""
    one, less = m.Integer("1"), m.UnaryOperation(m.Minus(), m.Integer("1"))
    either = m.IfExp(body=one, orelse=less) | m.IfExp(body=less, orelse=one)
    sign = (
        either | m.Name("sign") | m.Name("towards") | m.Attribute(attr=m.Name("sign")) | m.Call(func=m.Name("child_sign"))
    )
    times = m.BinaryOperation(operator=m.Multiply(), right=sign)
    return m.matches(before, times) and m.matches(after, m.BinaryOperation(operator=m.Divide(), right=sign))


ALIKE = (_a_key_alone, _a_unit, _a_sum_from_zero, _strictness, _by_a_sign)
"""Rules for mutants that no test could tell from the engine: they are not made."""


def _text(node: cst.CSTNode) -> str:
    return " ".join(cst.Module(body=[]).code_for_node(node).split())


def plant(mutant: Mutant) -> None:
    """Put the mutant in the place of the real function, for the rest of this process."""
    module = importlib.import_module(f"copydesk.{mutant.module}")
    space = dict(vars(module))
    owner: Any = module
    around: Any = module
    for part in mutant.function.split("."):
        around, owner = owner, vars(owner)[part]
    real = _plain(owner)
    source, name = mutant.source, mutant.function.rpartition(".")[2]
    if (
        real.__code__.co_freevars
    ):  # a method that calls its class's by `super()`, which it has to know also where it does not
        source = "class Owner:\n" + textwrap.indent(source.rstrip() + "\n    __class__\n", "    ")
    exec(compile("from __future__ import annotations\n" + source, f"<{mutant.name}>", "exec"), space)
    new = _plain(vars(space["Owner"])[name] if real.__code__.co_freevars else space[name])
    real.__code__, real.__defaults__, real.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    forget_cached()
    if mutant.of_words:
        for word in around:  # they were made as the module was imported
            real(word, word.value)
    if mutant.table:
        table = vars(module)[mutant.table]
        table.clear()
        table.update(real())


def forget_cached() -> None:
    """Empty the caches of the engine's functions: what they remember would hide what a mutant does."""
    for name, module in list(sys.modules.items()):
        if name.startswith("copydesk."):
            for found in list(vars(module).values()):
                if hasattr(found, "cache_clear"):
                    found.cache_clear()


def _plain(found: Any) -> types.FunctionType:
    """The function behind a property, a class method, a static method or a cache."""
    for attribute in ("fget", "__func__", "__wrapped__"):
        found = getattr(found, attribute, None) or found
    assert isinstance(found, types.FunctionType), found
    return found
