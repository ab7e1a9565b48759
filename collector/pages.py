"""The page of each rule, from its docstring and knobs: for `explain`, `rules`, docs/rules/."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.kit.catalogue import rules
from detectors.kit.knobs import Knob, knobs

if TYPE_CHECKING:
    from detectors.kit.contract import Rule

_HEADING = re.compile(r"^[A-Z][^\n]*$")


@dataclass(frozen=True, slots=True)
class Page:
    """What is written of a rule. sections: (heading, text) in the order of the docstring."""

    code: str
    name: str
    scope: str
    summary: str
    sections: tuple[tuple[str, str], ...]
    knobs: tuple[Knob, ...]

    @property
    def row(self) -> tuple[str, str, str, str]:
        """A line of the table of rules."""
        return self.code, self.name, self.scope, self.summary


def pages() -> tuple[Page, ...]:
    """The pages of all rules, by code."""
    return tuple(page(rule) for rule in rules())


def page(rule: Rule) -> Page:
    """The page of a rule: the docstring of its file begins with `name: summary`."""
    text = inspect.getdoc(inspect.getmodule(type(rule))) or f"{rule.name}: (undocumented)"
    first, _, rest = text.partition("\n")
    summary = first.partition(": ")[2].rstrip(".") or first
    sections: list[tuple[str, list[str]]] = []
    for line in rest.splitlines():
        if _HEADING.match(line):
            sections.append((line.rstrip(":"), []))
        elif sections:
            sections[-1][1].append(line.removeprefix("    "))
    told = tuple((heading, "\n".join(lines).strip("\n")) for heading, lines in sections)
    return Page(rule.code, rule.name, rule.scope, summary, told, knobs(rule.Settings))


def _sentence(shown: Page) -> str:
    return f"{shown.summary[:1].upper()}{shown.summary[1:]}."


def knob_line(knob: Knob) -> str:
    """`min_repeats = 5: repeats in one entry from which on it is a fault (2 or more)`."""
    unit = f" {knob.unit}" if knob.unit else ""
    return f"{knob.name} = {knob.default}{unit}: {knob.help} ({bounds(knob)})"


def bounds(knob: Knob) -> str:
    """The values that a knob takes, in words."""
    if isinstance(knob.default, bool):
        return "true or false"
    if isinstance(knob.default, str):
        return "text"
    if knob.high >= 1e18:
        return f"{knob.low:g} or more"
    return f"{knob.low:g} to {knob.high:g}"


def as_text(shown: Page) -> str:
    """The page for a terminal."""
    lines = [f"{shown.code} {shown.name} ({shown.scope})", "", _sentence(shown)]
    for heading, text in shown.sections:
        lines += ["", heading, *(f"    {line}".rstrip() for line in text.splitlines())]
    lines += ["", "Settings", f"    rules.{shown.code} in the configuration file:"]
    lines += [f"      {knob_line(k)}" for k in shown.knobs]
    return "\n".join(lines) + "\n"


def as_markdown(shown: Page) -> str:
    """The page for docs/rules/: drawings and code, which are indented further, are fenced."""
    lines = [f"# {shown.code} {shown.name}", "", f"{_sentence(shown)} Scope: {shown.scope}."]
    for heading, text in shown.sections:
        lines += ["", f"## {heading}", "", *_fenced(text.splitlines())]
    lines += ["", "## Settings", ""]
    lines += ["| setting | default | unit | values | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{k.name}` | `{k.default}` | {k.unit} | {bounds(k)} | {k.help} |" for k in shown.knobs
    ]
    return "\n".join(lines) + "\n"


def _fenced(lines: list[str]) -> list[str]:
    """Indented blocks become fenced ones."""
    out: list[str] = []
    block: list[str] = []
    for line in [*lines, "end"]:
        if line.startswith("    ") or (block and not line):
            block.append(line.removeprefix("    "))
            continue
        if block:
            empty = 0
            while block[-1] == "":
                block.pop()
                empty += 1
            out += ["```text", *block, "```", *[""] * empty]
            block = []
        out.append(line)
    return out[:-1]
