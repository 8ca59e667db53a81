"""What a result depends on, as short keys: the code behind a command, and values."""

import ast
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = ("ssp_nerf", "preprocess")
KEY_LENGTH = 12  # hexadecimal digits: 48 bits, far beyond the number of runs of a project


@cache
def source_key(module: str) -> str:
    """Key of a module's code and of all the project's code that it imports, wherever it does so.

    Comments, docstrings and formatting do not count: they change no result.
    """
    digest = hashlib.sha256()
    for name in sorted(imported(module)):
        digest.update(f"{name}\n{_read(name).code}\n".encode())
    return digest.hexdigest()[:KEY_LENGTH]


def value_key(values: object) -> str:
    """Key of anything that JSON can write."""
    content = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:KEY_LENGTH]


def imported(module: str) -> set[str]:
    """The module and, transitively, every module of the project that it imports."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _read(name).imports
    return found


@dataclass(frozen=True)
class _Source:
    """What a module's file says.

    Attributes:
        imports: modules of the project that it imports.
        code: without comments and docstrings, in one formatting.
    """

    imports: tuple[str, ...]
    code: str


@cache
def _read(module: str) -> _Source:
    """Parse a module's file: once, for Snakemake asks for dozens of keys at each start."""
    tree = ast.parse(_path(module).read_text(encoding="utf-8"))
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import x`: x may itself be a module.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body[0] = ast.Pass()
    ours = (name for name in names if name.split(".")[0] in PACKAGES and _path(name).is_file())
    return _Source(tuple(ours), ast.unparse(tree))


@cache
def _path(module: str) -> Path:
    path = Path(__file__).resolve().parent.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
