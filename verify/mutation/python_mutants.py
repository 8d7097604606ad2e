"""Mutants of a Python module: other comparisons and operators, constants off by one, conditions turned round, swapped
arguments, dropped statements.

Not by mutmut: it leaves decorated classes alone, and the use cases are dataclasses. cosmic-ray starts a new interpreter
for each mutant, which takes seconds.
"""

import ast
import copy
from collections.abc import Iterator

from verify.mutation.mutants import Mutant, replaced

_COMPARISONS: dict[type[ast.cmpop], list[ast.cmpop]] = {
    ast.Lt: [ast.LtE(), ast.Gt()],
    ast.LtE: [ast.Lt(), ast.Gt()],
    ast.Gt: [ast.GtE(), ast.Lt()],
    ast.GtE: [ast.Gt(), ast.Lt()],
    ast.Eq: [ast.NotEq()],
    ast.NotEq: [ast.Eq()],
    ast.In: [ast.NotIn()],
    ast.NotIn: [ast.In()],
    ast.Is: [ast.IsNot()],
    ast.IsNot: [ast.Is()],
}
_OPERATORS: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.FloorDiv(),
    ast.FloorDiv: ast.Mult(),
    ast.BitAnd: ast.BitOr(),
    ast.BitOr: ast.BitAnd(),
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "set": "list"}
_DROPPED = (ast.Expr, ast.AugAssign, ast.Return, ast.Raise, ast.Break, ast.Continue)


def python_mutants(file: str, source: str) -> Iterator[Mutant]:
    """Return all mutants of a module."""
    module = ast.parse(source)
    text = _Text(file, source)
    for node in _behaviour(module):
        for other in _others(node):
            yield text.with_expression(node, other)
        if isinstance(node, _DROPPED) and not _is_only_a_text(node):
            yield text.with_statement(node, "pass")


class _Text:
    """A source whose nodes can be found by offset."""

    def __init__(self, file: str, source: str) -> None:
        self._file, self._source = file, source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._lines = source.splitlines(keepends=True)

    def _offset(self, line: int, column: int) -> int:
        # Columns count bytes.
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno
        assert node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def with_expression(self, node: ast.AST, other: ast.expr) -> Mutant:
        assert isinstance(node, ast.expr)
        text = ast.unparse(other)
        is_plain = isinstance(other, ast.Constant | ast.Call | ast.Name)
        return replaced(self._file, self._source, *self._span(node), text if is_plain else f"({text})")

    def with_statement(self, node: ast.AST, text: str) -> Mutant:
        assert isinstance(node, ast.stmt)
        return replaced(self._file, self._source, *self._span(node), text)


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """Walk over what a module does: not its imports, annotations, decorators, messages or documentation."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params", "bases"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_beside_the_point(child):
                yield child
                # What an error says is for people.
                if not isinstance(child, ast.Raise):
                    yield from _behaviour(child)


def _is_beside_the_point(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        # Which file a statement is in: no other name is one.
        if name in {"statement", "_insert_rows"}:
            return True
    return isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.TypeAlias) or _is_only_a_text(node)


def _is_only_a_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _others(node: ast.AST) -> Iterator[ast.expr]:
    """Return what may stand in an expression's place."""
    if isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.Compare):
        yield from _other_operators(node)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Constant):
        yield from _other_constants(node)
    elif isinstance(node, ast.Call):
        yield from _other_calls(node)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        for number, part in enumerate(node.generators):
            if part.ifs:
                unfiltered = copy.deepcopy(node)
                unfiltered.generators[number].ifs = []
                yield unfiltered


def _other_operators(node: ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.Compare) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                changed = copy.deepcopy(node)
                changed.ops[number] = other
                yield changed
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        yield from node.values
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif type(node.op) in _OPERATORS:
        yield ast.BinOp(node.left, _OPERATORS[type(node.op)], node.right)


def _other_constants(node: ast.Constant) -> Iterator[ast.expr]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node.value, str):
        yield ast.Constant("MUTANT")


def _other_calls(node: ast.Call) -> Iterator[ast.expr]:
    if isinstance(node.func, ast.Name) and node.func.id in _NAMES and node.args:
        yield ast.Call(ast.Name(_NAMES[node.func.id]), node.args, node.keywords)
    has_no_order = isinstance(node.func, ast.Name) and node.func.id in {"max", "min"}
    if has_no_order or any(isinstance(argument, ast.Starred) for argument in node.args):
        return
    for number in range(len(node.args) - 1):
        arguments = [*node.args]
        arguments[number : number + 2] = reversed(arguments[number : number + 2])
        yield ast.Call(node.func, arguments, node.keywords)
