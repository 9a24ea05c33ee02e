"""How the package is built: modules, imports, long functions, wide signatures. Reads text only.

python -m benchmarks.structure                  the package as it is
python -m benchmarks.structure --source ../old/src/taskdiscovery
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "taskdiscovery"
PACKAGE = "taskdiscovery"
LONG, WIDE = 60, 6
UNTYPED = "dict[str, Any]"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    """Yield every function of a module, methods and inner ones among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(function: Function) -> int:
    """Count all lines of a function, signature and docstring among them."""
    return int(function.end_lineno or 0) - function.lineno + 1


def parameters(function: Function) -> int:
    """Count the parameters of a function, `self` and `cls` apart."""
    own = function.args
    names = [a.arg for a in (*own.posonlyargs, *own.args, *own.kwonlyargs)]
    return len([n for n in names if n not in ("self", "cls")])


#: modules whose functions are public verbs, where the package exports them.
VERBS = (
    "api",
    "data",
    "data.readers.arrays",
    "data.arrays",
    "data.loading",
    "jobs",
    "report.write",
    "metagrad.engine",
)


def is_public(module: str, function: Function) -> bool:
    """Say whether a function is one that users call, whose signature is its manual."""
    verbs = {f"{PACKAGE}.{name}" for name in VERBS}
    return module in verbs and not function.name.startswith("_")


def modules(source: Path) -> dict[str, Path]:
    """Return the files of a package by the names of their modules."""
    return {
        ".".join((PACKAGE, *file.relative_to(source).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): file
        for file in sorted(source.rglob("*.py"))
    }


def imported(tree: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    """Yield the modules of the package that a module imports, late imports among them.

    `from package import module` imports that module; what a package's own table of contents offers
    is imported from the package.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        if isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)


def cycles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other (Tarjan 1972)."""
    seen: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        seen[name] = low[name] = len(seen)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in seen:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], seen[other])
        if low[name] == seen[name]:
            at = stack.index(name)
            group, stack[at:] = stack[at:], []
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(edges):
        if name not in seen:
            visit(name)
    return found


def is_kernel(function: Function) -> bool:
    """Say whether Triton compiles a function for a GPU: it takes pointers and sizes one by one."""
    return any(ast.unparse(decorator) == "triton.jit" for decorator in function.decorator_list)


def measure(source: Path) -> dict[str, object]:
    """Return the figures of a package."""
    files = modules(source)
    trees = {name: ast.parse(file.read_text("utf-8")) for name, file in files.items()}
    edges = {
        name: {other for other in imported(tree, files) if other != name}
        for name, tree in trees.items()
    }
    named = [(name, f) for name, tree in trees.items() for f in functions(tree)]
    private = [
        (f"{name}:{f.name}", f) for name, f in named if not (is_public(name, f) or is_kernel(f))
    ]
    lengths = {name: len(file.read_text("utf-8").splitlines()) for name, file in files.items()}
    loose = sorted(f.stem for f in source.glob("*.py") if not f.stem.startswith("__"))
    return {
        "modules": len(files),
        "lines": sum(lengths.values()),
        "loose_modules": loose,
        "median_file": statistics.median(lengths.values()),
        "longest_files": sorted(((n, name) for name, n in lengths.items()), reverse=True)[:5],
        f"functions_over_{LONG}_lines": [
            (lines(f), name) for name, f in private if lines(f) > LONG
        ],
        f"functions_of_more_than_{WIDE}_parameters": [
            (parameters(f), name) for name, f in private if parameters(f) > WIDE
        ],
        "untyped_mappings": sum(f.read_text("utf-8").count(UNTYPED) for f in files.values()),
        "cycles": cycles(edges),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.structure", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--source", type=Path, default=SOURCE, help="the package's folder")
    print(json.dumps(measure(parser.parse_args().source), indent=1))


if __name__ == "__main__":
    main()
