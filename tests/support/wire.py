"""Protobuf bytes as nobody writes them, though some are legal: for fuzzing parsers against parsers.

Messages follow a descriptor, with what a generated class would never send mixed in: unknown fields,
fields twice and out of order, other wire types, groups, overlong numbers, packed numbers, texts that
are not Unicode, lengths that lie.
"""

from __future__ import annotations

from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as F

_FIXED64 = (F.TYPE_FIXED64, F.TYPE_SFIXED64, F.TYPE_DOUBLE)
_FIXED32 = (F.TYPE_FIXED32, F.TYPE_SFIXED32, F.TYPE_FLOAT)
_DEEPEST = 7


class Wire:
    """Writes messages; `oddity` is the chance that something is not as it should be."""

    def __init__(self, dice: Random, oddity: float, texts: list[bytes], keys: list[bytes]) -> None:
        self._dice, self._oddity = dice, oddity
        self._texts, self._keys = texts, keys

    def _odd(self) -> bool:
        return self._dice.random() < self._oddity

    def varint(self, value: int) -> bytes:
        """A number, now and then in more bytes than it takes."""
        out = bytearray()
        value &= 2**64 - 1
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        if self._odd():
            out[-1] |= 0x80
            out += b"\x80" * self._dice.randrange(3) + self._dice.choice(
                (b"\x00", b"\x00", b"\x01")
            )
        return bytes(out)

    def delimited(self, content: bytes) -> bytes:
        """A length and what has it."""
        size = len(content) + (self._dice.randint(-2, 2) if self._odd() else 0)
        return self.varint(max(0, size)) + content

    def message(self, descriptor: Any, depth: int = 0) -> bytes:
        """A message of a type: most fields once, repeated ones a few times."""
        fields: list[bytes] = []
        for field in descriptor.fields:
            for _ in range(self._times(field, depth)):
                fields.append(self._field(field, depth))
        if self._odd():
            fields.append(self._unknown())
        if self._odd():
            self._dice.shuffle(fields)
        return b"".join(fields)

    def _times(self, field: Any, depth: int) -> int:
        if depth >= _DEEPEST and field.message_type is not None:
            return 0
        if field.is_repeated:
            return self._dice.randrange(4)
        if field.containing_oneof is not None:
            return int(self._dice.random() < 0.25)
        return 2 if self._odd() else int(self._dice.random() < 0.9)

    def _field(self, field: Any, depth: int) -> bytes:
        wire, content = self._content(field, depth)
        if self._odd():
            wire = self._dice.randrange(8)
        return self.varint(field.number << 3 | wire) + content

    def _content(self, field: Any, depth: int) -> tuple[int, bytes]:
        if field.message_type is not None:
            return 2, self.delimited(self.message(field.message_type, depth + 1))
        if field.type == F.TYPE_STRING:
            return 2, self.delimited(self._text(field.name))
        if field.type == F.TYPE_BYTES:
            size = {"trace_id": 16}.get(field.name, 8)
            if self._odd():
                size = self._dice.randrange(20)
            return 2, self.delimited(self._dice.randbytes(size))
        if field.type in _FIXED64:
            if field.type == F.TYPE_DOUBLE or self._odd():
                return 1, self._dice.randbytes(8)
            return 1, self._dice.randrange(2**62).to_bytes(8, "little")
        if field.type in _FIXED32:
            return 5, self._dice.randbytes(4)
        value = self._dice.choice((0, 1, 2, 3, 404, 200, -1, self._dice.getrandbits(64)))
        return 0, self.varint(value)

    def _text(self, name: str) -> bytes:
        if self._odd():
            return self._dice.randbytes(self._dice.randrange(6))
        return self._dice.choice(self._keys if name == "key" else self._texts)

    def _unknown(self) -> bytes:
        number = self._dice.choice((0, 17, 99, 1000, 2**29 - 1))
        wire = self._dice.randrange(6)
        head = self.varint(number << 3 | wire)
        match wire:
            case 0:
                return head + self.varint(self._dice.getrandbits(64))
            case 1:
                return head + self._dice.randbytes(8)
            case 3:
                return head + self._unknown() + self.varint(number << 3 | 4)
            case 5:
                return head + self._dice.randbytes(4)
            case _:
                return head + self.delimited(self._dice.randbytes(3))
