"""Change the code in one place at a time, and see whether the tests that should catch it do.

A mutant is a copy of the repository with one change of meaning: another comparison, a swapped operator, a
number one higher, a call without one of its options, the validation slots in the place of the test slots. A
mutant that all tests pass is a missing test, or the same program in other words: tests/mutants.toml lists
those with the reason. It names the parts of the code, and the tests of each.

Tools for this change what they import (mutmut) or know neither a sample nor programs that are run as
commands; this one starts each mutant's tests in a process of its own, forked from one that has imported
the libraries already, so that most mutants take seconds.
"""

import argparse
import ast
import importlib
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
#: Imported once, before any mutant: libraries alone, never the code that is changed.
LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "pyarrow.compute", "pyarrow.csv", "hypothesis", "scipy.stats"),
    *("sklearn.linear_model", "lightgbm", "tensorflow", "keras"),
)

COMPARISONS: dict[type[ast.AST], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.Pow: "*",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
#: Names and texts that are easily taken for each other.
SWAPS = {
    "training": "validation",
    "validation": "test",
    "test": "validation",
    "left": "right",
    "right": "left",
    "calendar": "observed",
    "observed": "calendar",
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "argmin": "argmax",
    "argmax": "argmin",
    "any": "all",
    "all": "any",
    "start": "stop",
    "stop": "start",
    "first_slot": "last_slot",
    "last_slot": "first_slot",
    "zeros": "ones",
    "ones": "zeros",
    "log1p": "log",
    "log": "log1p",
}
#: Calls whose arguments are words for people.
WORDS = {"Fault", "add_argument", "ArgumentParser", "info", "warning", "error", "setting", "ValueError"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes
    ----------
    file
        The file, from the repository's root.
    begin, end
        What it replaces, in bytes of the file.
    text
        What it puts there.
    name
        The file, the function, and the line before and after, which no other line's change changes.
    """

    file: str
    begin: int
    end: int
    text: str
    name: str


class Changes(ast.NodeVisitor):
    """Collects the changes of a module: (begin, end, text) in bytes."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._within: list[str] = []
        self.found: list[tuple[int, int, str, str]] = []
        self.visit(ast.parse(source))

    def _span(self, node: Any) -> tuple[int, int]:
        begin = self._starts[node.lineno - 1] + node.col_offset
        return begin, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _add(self, begin: int, end: int, text: str) -> None:
        self.found.append((begin, end, text, ".".join(self._within)))

    def _between(self, left: ast.AST, right: ast.AST, operator: str) -> None:
        """Replace the operator between two operands, brackets and spaces around it kept."""
        begin, end = self._span(left)[1], self._span(right)[0]
        between = self._source[begin:end].decode()
        sign = between.strip().strip("()").strip()
        if sign and "#" not in between and "\n" not in sign:
            self._add(begin, end, between.replace(sign, operator, 1))

    def visit(self, node: ast.AST) -> None:
        """Visit a node, but no annotation, no docstring and no words."""
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            self._within.append(node.name)
            body = node.body[1:] if ast.get_docstring(node) else node.body
            for part in body:
                self.visit(part)
            if isinstance(node, ast.FunctionDef):
                for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                    self.visit(default)
            self._within.pop()
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.visit(node.value)
            return
        # A grid of numbers to choose from is as good with another one.
        if isinstance(node, ast.Tuple | ast.List) and len(node.elts) > 4:
            return
        if isinstance(node, ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.Call) and name_of(node.func) in WORDS:
            return
        super().visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Another comparison."""
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            self._between(left, right, COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Another operator."""
        if type(node.op) in OPERATORS:
            self._between(node.left, node.right, OPERATORS[type(node.op)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """``or`` for ``and``, and the reverse."""
        other = "or" if isinstance(node.op, ast.And) else "and"
        self._between(node.values[0], node.values[1], other)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """A number one higher or twice as large, the other truth value, a text's rival."""
        begin, end = self._span(node)
        if isinstance(node.value, bool):
            self._add(begin, end, str(not node.value))
        # A large number is a size, as good with one more.
        elif isinstance(node.value, int) and node.value < 1000:
            self._add(begin, end, str(node.value + 1))
        # A tolerance for rounding is as good twice as large.
        elif isinstance(node.value, float) and (not node.value or abs(node.value) > 1e-6):
            self._add(begin, end, repr(node.value * 2 or 1.0))
        elif isinstance(node.value, str) and node.value in SWAPS:
            self._add(begin, end, repr(SWAPS[node.value]))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """An attribute's rival."""
        if node.attr in SWAPS:
            end = self._span(node)[1]
            self._add(end - len(node.attr), end, SWAPS[node.attr])
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """A function's rival."""
        if node.id in {"min", "max", "any", "all"}:
            self._add(*self._span(node), SWAPS[node.id])

    def visit_Call(self, node: ast.Call) -> None:
        """A call without one of its options."""
        # Lengths that differ are a defect already, and JSON reads the same however it is laid out.
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in ("strict", "indent")]
        for keyword in node.keywords:
            begin, end = self._span(keyword)
            if keyword.arg is not None:
                after = self._source[end:]
                taken = end + (len(after) - len(after.lstrip(b", \n")) if after[:1] == b"," else 0)
                self._add(begin, taken, "")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        """The other branch."""
        begin, end = self._span(node.test)
        self._add(begin, end, f"not ({self._source[begin:end].decode()})")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Nothing added."""
        self._add(*self._span(node), "pass")
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Nothing called."""
        if isinstance(node.value, ast.Call):
            self._add(*self._span(node), "pass")
        self.generic_visit(node)


def name_of(function: ast.expr) -> str:
    """Name of what is called, without what it is an attribute of."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


#: What begins a block of Snakemake's own language: it ends before a line that is indented no further.
BLOCK = re.compile(
    rb"^( *)(?:(?:use )?rule \w+|wildcard_constraints|localrules|ruleorder|include|pathvars)\b.*\n"
    rb"(?:\1[ \t].*\n|[ \t]*\n)*",
    re.MULTILINE,
)
#: A line of a shell command that is an option of the program.
OPTION = re.compile(rb'^ +" (?:--[\w-]+ [^"]*|\{params\.\w+:q\})"\n', re.MULTILINE)
#: A field of a command, or of a rule's own, with its name.
FIELD = re.compile(rb"\{(input|output|params)\.(\w+)")


def python_of(rules: bytes) -> bytes:
    """Blank out what is Snakemake's own language in rules, byte by byte."""

    def blank(block: re.Match[bytes]) -> bytes:
        # As a branch of an `if` may hold nothing else.
        begun = block[1] + b"pass"
        return begun + re.sub(rb"[^\n]", b" ", block[0][len(begun) :])

    return BLOCK.sub(blank, rules)


def changes_of_rules(rules: bytes) -> Iterator[tuple[int, int, str, str]]:
    """Change the commands of rules: an option left out, another of the rule's files or settings given."""
    for block in BLOCK.finditer(rules):
        begin, within = block.start(), block[0].split(b":")[0].decode().strip()
        for option in OPTION.finditer(block[0]):
            yield begin + option.start(), begin + option.end() - 1, "", within
        fields: dict[bytes, list[bytes]] = {}
        for kind, name in FIELD.findall(block[0]):
            fields.setdefault(kind, [])
            fields[kind] += [name] * (name not in fields[kind])
        for field in FIELD.finditer(block[0]):
            names = fields[field[1]]
            rival = names[(names.index(field[2]) + 1) % len(names)]
            if rival != field[2]:
                yield begin + field.start(2), begin + field.end(2), rival.decode(), within


def mutants_of(file: str) -> Iterator[Mutant]:
    """Make every mutant of a file that is still Python."""
    source = (ROOT / file).read_bytes()
    rules = file.endswith(".smk")
    found = Changes(python_of(source) if rules else source).found
    if rules:
        found += changes_of_rules(source)
    for begin, end, text, within in found:
        changed = source[:begin] + text.encode() + source[end:]
        try:
            ast.parse(python_of(changed) if rules else changed)
        except SyntaxError:
            continue
        first = source.rfind(b"\n", 0, begin) + 1
        last = source.find(b"\n", end)
        before = source[first:last].decode()
        after = changed[first : last + len(changed) - len(source)].decode()
        before, after = (" ".join(lines.split()) for lines in (before, after))
        yield Mutant(file, begin, end, text, f"{file} {within}: {before} -> {after}")


def run_tests(folder: Path, tests: list[str], seconds: float, log: Path) -> int | None:
    """Run tests in a fork of this process; its exit code, or None if they took longer."""
    child = os.fork()
    if not child:
        os.setsid()
        os.chdir(folder)
        with log.open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        # A module that tests import stands beside them.
        sys.argv = ["pytest"]
        # Files one by one: what the first ones notice does not wait for what the others import.
        for some in map(shlex.split, tests):
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *some]))
            if code:
                break
        os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def copy_repository(folder: Path) -> None:
    """Copy all files that git knows, so that no mutant is ever in the repository itself."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def survivors(part: dict[str, Any], chosen: list[Mutant], folder: Path) -> Iterator[tuple[Mutant, str]]:
    """Try mutants one after another: each with what became of it."""
    log = folder / "tests.log"
    began = time.monotonic()
    if run_tests(folder, part["tests"], 3600, log) != 0:
        sys.exit(f"error: the tests of {part['name']} fail without a mutant:\n{log.read_text()[-2000:]}")
    usual = time.monotonic() - began
    for mutant in chosen:
        path = folder / mutant.file
        source = path.read_bytes()
        path.write_bytes(source[: mutant.begin] + mutant.text.encode() + source[mutant.end :])
        code = run_tests(folder, part["tests"], 5 * usual + 20, log)
        path.write_bytes(source)
        yield mutant, "survived" if code == 0 else "too long" if code is None else "killed"


def main() -> None:
    """Read the command line, and try mutants."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--part", action="append", help="a part of mutants.toml (default: all)")
    parser.add_argument("--count", type=int, default=20, help="mutants of each part (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of mutants (default: 1)")
    parser.add_argument("--match", action="append", help="only those with this in their name, as printed")
    args = parser.parse_args()

    # As popularity.start does, which is one of the modules that are changed.
    os.environ.update(MATPLOTLIBRC=os.devnull, KERAS_HOME=os.devnull, KERAS_BACKEND="tensorflow")
    config = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
    same = {entry["mutant"]: entry["reason"] for entry in config["same"]}
    for library in LIBRARIES:
        importlib.import_module(library)
    paths = [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "rules").glob("*.smk")]
    files = [path.relative_to(ROOT).as_posix() for path in sorted(paths)]
    made = {mutant.name for file in files for mutant in mutants_of(file)}
    if gone := sorted(same.keys() - made):
        sys.exit("\n".join(["error: mutants.toml lists as the same what no change makes:", *gone]))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_repository(folder)
        # Neither the code nor what it was compiled to may come from the repository.
        os.environ.update(PYTHONDONTWRITEBYTECODE="1")
        sys.dont_write_bytecode = True
        for part in config["part"]:
            if args.part and part["name"] not in args.part:
                continue
            own = [file for file in files if any(PurePath(file).match(one) for one in part["files"])]
            every = [mutant for file in own for mutant in mutants_of(file)]
            if args.match:
                every = [mutant for mutant in every if any(text in mutant.name for text in args.match)]
            # Chosen before those that are the same are left out: a mutant listed changes no other choice.
            chosen = random.Random(args.seed).sample(every, min(args.count, len(every)))
            others = [mutant for mutant in chosen if mutant.name not in same]
            found = Counter({"the same": len(chosen) - len(others)})
            for mutant, outcome in survivors(part, others, folder):
                found[outcome] += 1
                if outcome == "survived":
                    print(f"survived: {mutant.name}", flush=True)
            print(f"{part['name']}: {dict(found)}, of {len(every)} mutants", flush=True)
            counts += found
    tried = counts.total() - counts["the same"]
    print(f"killed: {tried - counts['survived']} of {tried}, {1 - counts['survived'] / max(tried, 1):.1%}")


if __name__ == "__main__":
    main()
