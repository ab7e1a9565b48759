"""Polars without docstrings does what it did with them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from collector.undocumented import undocumented
from support.commands import ROOT

LONG = "A text of more than eighty characters, which is what it takes to be left out of a function."
SOURCE = f'''
"""{LONG}"""

def told():
    """{LONG}"""
    return "{LONG[:-1]}"

def untold(): return "{LONG}"

def briefly():
    """Short."""
    return "Short."

class Thing:
    """{LONG}"""

    def inner(self):
        """{LONG}"""
        return [f"{LONG}{{n}}" for n in range(2)]

lambda_ = lambda: "{LONG}"
generated = ["{LONG}" for _ in range(2)]
'''


def test_functions_lose_their_docstrings_and_nothing_else() -> None:
    found: dict[str, object] = {}
    exec(undocumented(compile(SOURCE, "source", "exec")), found)  # noqa: S102 - it is above
    thing = found["Thing"]()  # type: ignore[operator]
    told, untold, briefly = (found[name] for name in ("told", "untold", "briefly"))

    assert (told.__doc__, thing.inner.__doc__) == ("", "")
    assert (briefly.__doc__, briefly()) == ("Short.", "Short.")  # type: ignore[operator]
    assert (told(), untold()) == (LONG[:-1], LONG)  # type: ignore[operator]
    assert found["__doc__"] == thing.__doc__ == LONG
    assert thing.inner() == [f"{LONG}0", f"{LONG}1"]
    assert found["lambda_"]() == LONG  # type: ignore[operator]
    assert found["generated"] == [LONG, LONG]


def test_polars_is_imported_without_and_nothing_else() -> None:
    script = """
    from collector.undocumented import leave_out_docstrings
    leave_out_docstrings()
    import numpy, polars
    assert not polars.DataFrame.group_by.__doc__
    assert numpy.linalg.svd.__doc__
    assert polars.DataFrame({"a": [1, 1, 2]}).group_by("a").len().height == 2
    assert polars.Series([1, 1]).is_first_distinct().to_list() == [True, False]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=True)
