"""Imports Polars without its docstrings, which nobody reads in a server: 4 MB.

`python -OO` leaves them out as well, but has to be said before Python starts. Other libraries have
less of them, and may work with them as numpy does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

_LIBRARY = "polars"
_OPTIMIZED = 0x1
_HAS_DOCSTRING = 0x4000000
"""Flags of code: it is a function's; its first constant is a docstring (from Python 3.13 on)."""
_SHORTEST = 80
"""A shorter text might be what a function works with as well."""


def leave_out_docstrings() -> None:
    """For what is imported from now on."""
    sys.meta_path.insert(0, _Finder())


class _Finder:
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As Python itself finds it, but for the loader."""
        if name.partition(".")[0] != _LIBRARY:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        """The module's code without the docstrings of its functions."""
        code = super().get_code(fullname)
        return None if code is None else undocumented(code)


def undocumented(code: CodeType) -> CodeType:
    """The code, and all code within; docstrings of functions are empty."""
    constants: list[Any] = [
        undocumented(c) if isinstance(c, CodeType) else c for c in code.co_consts
    ]
    if _has_docstring(code) and len(constants[0]) >= _SHORTEST:
        constants[0] = ""
    within = (undocumented(c) if isinstance(c, CodeType) else c for c in constants)
    return code.replace(co_consts=tuple(within))


def _has_docstring(code: CodeType) -> bool:
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _HAS_DOCSTRING)
    # Without one, the first constant of a function is None; comprehensions have none of either.
    is_function = code.co_flags & _OPTIMIZED and not code.co_name.startswith("<")
    return bool(is_function and code.co_consts and isinstance(code.co_consts[0], str))
