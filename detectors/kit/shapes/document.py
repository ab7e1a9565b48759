"""Document and key-value commands to shapes.

Texts are JSON, or what Python prints for a dict, often with `"?"` for every leaf, or the name of
the command alone. They are read by one pass over their strings, numbers and brackets; cut texts
are read as far as they go.
"""

from __future__ import annotations

import dataclasses
import re

from detectors.kit.shapes.commands import DYNAMODB, ELASTICSEARCH, GENERIC, MONGODB
from detectors.kit.shapes.model import Shape
from detectors.kit.shapes.words import word_set
from detectors.kit.traits import Trait

__all__ = ["Shape", "shape_command"]

_TABLES = {
    "mongodb": MONGODB,
    "documentdb": MONGODB,
    "dynamodb": DYNAMODB,
    "aws.dynamodb": DYNAMODB,
    "elasticsearch": ELASTICSEARCH,
    "opensearch": ELASTICSEARCH,
}
_TOKEN = re.compile(
    r"""(?P<text>"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\\?\Z))"""
    r"""|(?P<number>[-+]?\d[\w.+\-]*)|(?P<mask>\?)|(?P<word>[^\W\d][\w.$]*)|(?P<space>\s+)"""
    r"""|(?P<mark>.)""",
    re.DOTALL,
)
_KEY_FOLLOWS = re.compile(r"\s*:")
_COMMAND = re.compile(r"\s*([A-Za-z][\w.]{0,60})")
_FIRST_KEY = re.compile(r"""\s*\{\s*["']?([\w.]{1,60})["']?\s*:""")
_FILTERS = frozenset(("filter", "query", "q", "Key", "key"))
_LISTS = frozenset(("$in", "$nin", "terms", "ids"))
_PAGES = frozenset(("skip", "$skip", "search_after", "from"))
_LIST = re.compile(r"\[\?(?:, \?)*\]")
# Words of Elasticsearch's query language between a query and its fields.
_CLAUSES = word_set(
    "bool must must_not should filter term terms match match_phrase match_all range gte lte gt lt "
    "value values query boost ids exists field fields nested path multi_match prefix wildcard "
    "regexp minimum_should_match constant_score function_score analyzer operator"
)
_LONGEST_TEXT = 16_384  # characters that are read; what is behind them is cut


@dataclasses.dataclass(slots=True)
class _Document:
    """What one pass over a text found."""

    pieces: list[str] = dataclasses.field(default_factory=list)
    literals: list[str] = dataclasses.field(default_factory=list)
    keys: set[str] = dataclasses.field(default_factory=set)  # operators and options, all of them
    fields: set[str] = dataclasses.field(default_factory=set)  # that a filter names
    hidden: bool = False


def _read(text: str, *, whole_is_filter: bool) -> _Document:
    """Mask the leaves of a text and collect its keys.

    Fields are what stands under `filter`, `query` or `q`, or anywhere when the `whole` text is one.
    """
    found = _Document()
    depth, filter_depth, key = 0, 0 if whole_is_filter else -1, ""
    for match in _TOKEN.finditer(text):
        kind, raw = match.lastgroup, match[0]
        if kind in ("text", "word") and _KEY_FOLLOWS.match(text, match.end()):
            key = raw.strip("\"'")
            found.pieces.append(key)
            found.keys.add(key)
            if 0 <= filter_depth < depth and not key.startswith("$") and key not in _CLAUSES:
                found.fields.add(key)
            if filter_depth < 0 and key in _FILTERS:
                filter_depth = depth
            elif filter_depth == depth and not whole_is_filter and key not in _FILTERS:
                filter_depth = -1
        elif kind == "mark":
            depth += (raw in "{[") - (raw in "}]")
            found.pieces.append(raw + " " if raw in ":," else raw)
        elif kind == "word":
            found.pieces.append(raw + " ")
        elif kind != "space":
            found.pieces.append("?")
            if raw.strip("\"'") == "?":
                found.hidden = True
            else:
                found.literals.append(raw)
    return found


def _operation(system: str, operation: str | None, statement: str) -> tuple[str | None, str]:
    """The command's name, and the text that remains to be read."""
    first = _COMMAND.match(statement)
    body = statement[first.end() :] if first else statement
    if operation:
        name = operation.rpartition("/")[2] if "/" in operation else operation
        if system in ("dynamodb", "aws.dynamodb") or name.startswith(
            ("DynamoDB.", "elasticsearch.")
        ):
            name = name.rpartition(".")[2]
        same = first is not None and first[1].lower() == name.lower()
        return name.strip() or None, body if same else statement
    if first is not None:
        return first[1], body
    keyed = _FIRST_KEY.match(statement)
    if keyed is not None and keyed[1].lower() in _TABLES.get(system, GENERIC):
        return keyed[1], statement
    return None, statement


def _traits(system: str, operation: str, found: _Document, text: str) -> Trait:
    """What a command is, by its name and by the operators in its text."""
    table = _TABLES.get(system)
    lower = operation.lower()
    if table is not None:
        traits = table.get(lower, Trait(0))
    else:
        word = re.split(r"[\s._]", lower, maxsplit=1)[0]
        traits = GENERIC.get(lower.replace("_", ""), GENERIC.get(word, Trait(0)))
    if table is ELASTICSEARCH and lower.startswith(("indices.", "cat.", "cluster.", "nodes.")):
        traits = Trait.DDL
    if found.keys & {"$out", "$merge"}:
        traits = Trait.WRITE | Trait.MULTI_ROW
    if traits & Trait.READ and found.keys & _LISTS:
        traits |= Trait.LISTED
    if traits & Trait.READ and found.keys & _PAGES:
        traits |= Trait.PAGED
    if text.strip() and (found.literals or found.hidden):
        traits |= Trait.PARAMETERS
    return traits


def shape_command(
    system: str, operation: str | None, statement: str | None, collection: str | None
) -> Shape:
    """The shape of a MongoDB, DynamoDB, Elasticsearch or similar operation.

    `operation` stays as written (`find`, `GetItem`); where it is None it is read from the
    statement. `predicate` names the fields of the filter where the text shows it. `literals` is
    None unless the text shows every value: drivers mask them or leave the filter out, and a
    command without its filter does not say that it has none. Never raises; linear.
    """
    system = system.lower()
    name, body = _operation(system, operation, (statement or "")[:_LONGEST_TEXT])
    keyed = _FIRST_KEY.match(body)
    is_command = keyed is not None and name is not None and keyed[1].lower() == name.lower()
    has_options = is_command or _TABLES.get(system) is ELASTICSEARCH
    found = _read(body, whole_is_filter=not has_options)
    masked = _LIST.sub("[?]", " ".join("".join(found.pieces).split()))
    summary = " ".join(part for part in (name, collection) if part)
    visible = bool(found.pieces) and not found.hidden
    return Shape(
        shape=f"{summary} {masked}".strip(),
        operation=name,
        target=collection,
        predicate=", ".join(sorted(field.lower() for field in found.fields)) or None,
        literals=tuple(found.literals) if visible else None,
        traits=int(_traits(system, name or "", found, body)),
        summary=summary,
    )
