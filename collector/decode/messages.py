"""Messaging spans: brokers, queues, Celery tasks."""

from __future__ import annotations

import re

from collector.decode.attributes import Attributes, number, reader, text
from collector.decode.calls import peer_of
from collector.decode.facets import CONSUMER, PRODUCER, Facets
from detectors.kit.traits import Trait

_system = reader("system")
_DESTINATIONS = (
    "messaging.destination.name",
    "messaging.destination",
    "messaging.temp_destination",
)
PRESENCE = ("messaging.system", "celery.action", *_DESTINATIONS)
"""Attributes whose presence says that a span has to do with a broker."""
_TEMPORARY = "(temporary)"
_REPLY_QUEUE = re.compile(r"amq\.gen-|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", re.IGNORECASE)
_SUFFIX = re.compile(r"\s(?:send|receive|process|publish|deliver|create|settle)$")


def is_message(attributes: Attributes) -> bool:
    """Whether the span has to do with a broker."""
    return any(name in attributes for name in PRESENCE)


def messaging(kind: int, name: str, attributes: Attributes) -> Facets:
    """Facets of a messaging span; the target of a Celery span is its task."""
    task = text(attributes.get("celery.task_name"))
    action = _action(kind, attributes)
    target = task or _destination(name, attributes)
    label = f"{'run' if task and action == 'process' else action} {target}"
    batch = number(attributes.get("messaging.batch.message_count"), 2, 2**31 - 1)
    return Facets(
        "messaging",
        label,
        label if task or target == _TEMPORARY else name,
        system="celery" if task else _system(attributes),
        operation=action,
        target=target,
        shape=label,
        peer=peer_of(attributes),
        repeat=batch or 1,
        traits=int(Trait.PIPELINE) if batch else 0,
    )


def _action(kind: int, attributes: Attributes) -> str:
    if kind == PRODUCER or attributes.get("celery.action") in ("apply_async", "send_task"):
        return "publish"
    said = text(attributes.get("messaging.operation.type")) or text(
        attributes.get("messaging.operation")
    )
    if said in ("send", "publish", "create"):
        return "publish"
    if said in ("receive", "settle"):
        return said
    return "process" if kind == CONSUMER or said is not None else "receive"


def _destination(name: str, attributes: Attributes) -> str:
    found = next((d for n in _DESTINATIONS if (d := text(attributes.get(n)))), None)
    if found is None:
        found = _SUFFIX.sub("", name)
    if attributes.get("messaging.destination.temporary") is True or _REPLY_QUEUE.search(found):
        return _TEMPORARY
    return found
