"""Which part of a path or a key is an id, and which is a word of the interface."""

from __future__ import annotations

import re

from detectors.kit.shapes.words import word_set

ID = "{id}"

_LONGEST_WORD = 64
_LONGEST_PLAIN_TOKEN = 20  # letters only: longer ones of wildly mixed case are random
_SEPARATORS = re.compile(r"[-_.~+,=:]")
_VERSION = re.compile(r"v\d{1,3}(?:\.\d{1,3})*(?:(?:alpha|beta|rc)\d*)?", re.IGNORECASE)
_LETTERS_DIGIT = re.compile(r"([^\W\d_]{3,})\d")
_HEX = re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)
_FILE = re.compile(r"(.+)(\.[a-z][a-z0-9]{0,4})", re.IGNORECASE)
_CALL = re.compile(r"(\w+)\(([^()]*)\)")
_VERB = re.compile(r"([^:]+)(:[a-z]+)", re.IGNORECASE)
_TURN = re.compile(r"[a-z][A-Z]|[A-Z][a-z]")
# Words with digits that no rule below would leave alone.
WORDS = word_set(
    "s3 ec2 k8s i18n l10n a11y p2p b2b b2c c2c mp3 "
    "mp4 md5 h2 h3 es6 r2 d3 ga4 sha256 sha512 base64 "
    "x509 log4j utf8 h264 h265 iso8601 2fa 3ds"
)


def _is_random(token: str) -> bool:
    """A long run of letters that changes case like dice, not like camelCase."""
    if _HEX.fullmatch(token):
        return True
    return len(token) >= _LONGEST_PLAIN_TOKEN and len(_TURN.findall(token)) > 0.3 * len(token)


def _is_word(token: str, before: str) -> bool:
    """Whether a token without separators belongs to the interface: `oauth2`, `v1`, `orders`."""
    if not token:
        return True
    lower = token.lower()
    if lower in WORDS or _VERSION.fullmatch(token):
        return True
    if not any(character.isdigit() for character in token):
        return not _is_random(token)
    numbered = _LETTERS_DIGIT.fullmatch(token)
    # `oauth2` is a word, `user5` behind `users` is not.
    return numbered is not None and not before.lower().startswith(numbered[1].lower())


def is_id(segment: str, before: str = "") -> bool:
    """Whether a path segment or key part is an id rather than a word; `before` precedes it.

    Ids are numbers, UUIDs, hexadecimal and random tokens, dates, e-mail addresses, escaped or
    non-ASCII text, and names with a number in them (`item-4711`). `v1`, `oauth2` and `s3` are not.
    """
    if not segment or segment[0] in "{<:*":  # already a template
        return False
    if len(segment) > _LONGEST_WORD or "@" in segment or "%" in segment or not segment.isascii():
        return True
    if _VERSION.fullmatch(segment):
        return False
    return not all(_is_word(token, before) for token in _SEPARATORS.split(segment))


def mask_segment(segment: str, before: str = "") -> tuple[str, str | None]:
    """A path segment as template, and the id that was taken out of it, if any.

    File extensions (`5.json`), custom verbs (`5:archive`) and OData keys (`Users(5)`) stay.
    """
    if len(segment) <= _LONGEST_WORD and "@" not in segment:
        call = _CALL.fullmatch(segment)
        if call is not None and call[2]:
            return f"{call[1]}({ID})", call[2]
        for tailed in (_FILE.fullmatch(segment), _VERB.fullmatch(segment)):
            if tailed is not None and not _VERSION.fullmatch(segment) and is_id(tailed[1], before):
                return f"{ID}{tailed[2]}", tailed[1]
    return (ID, segment) if is_id(segment, before) else (segment, None)
