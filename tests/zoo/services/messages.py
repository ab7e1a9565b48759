"""Work behind RabbitMQ: Celery tasks, and consumers of partitions that pika serves.

The queue is `ZOO_NAME`; partition n of it is `<queue>.<n>`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import pika
from celery import Celery
from celery.exceptions import Reject

from zoo.ask import Ask, Failed, Routes
from zoo.stores import call, sql

PARTITIONS = 3
ORDER = "POST /orders/{id}"
LINES = 12
QUEUE = os.environ.get("ZOO_NAME", "zoo")
tasks: Any = Celery("zoo", broker=os.environ.get("ZOO_RABBITMQ", "memory://"))
tasks.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)


@tasks.task(name="price_lines_one_by_one")
def price_lines_one_by_one(number: int) -> None:
    sql("SELECT id FROM orders WHERE id = %s", number % 1_000)
    for line in range(LINES):
        sql("SELECT price FROM products WHERE id = %s", number + line)


@tasks.task(name="price_lines")
def price_lines(number: int) -> None:
    sql("SELECT id FROM orders WHERE id = %s", number % 1_000)
    sql("SELECT id, price FROM products WHERE id BETWEEN %s AND %s", number, number + LINES)


@tasks.task(name="charge", bind=True, max_retries=2)
def charge(self: Any, number: int, mode: str) -> None:
    """Tries again at once, whatever the reason."""
    try:
        call("payment", f"/payments/{number}", method="POST", mode=mode)
    except Failed as failed:
        raise self.retry(exc=RuntimeError(str(failed)), countdown=0) from failed


@tasks.task(name="charge_or_requeue", acks_late=True)
def charge_or_requeue(number: int) -> None:
    """Back to the queue it goes: the same message is delivered again until it works."""
    try:
        call("payment", f"/payments/{number}", method="POST")
    except Failed as failed:
        time.sleep(0.03)
        raise Reject(str(failed), requeue=True) from failed


@tasks.task(name="charge_patiently", bind=True, max_retries=4)
def charge_patiently(self: Any, number: int) -> None:
    """One in five calls fails; the pauses grow and differ."""
    try:
        mode = "down" if random.random() < 0.2 else ""
        call("payment", f"/payments/{number}", method="POST", mode=mode)
    except Failed as failed:
        pause = 0.2 * 2**self.request.retries * random.uniform(0.5, 1.5)
        raise self.retry(exc=RuntimeError(str(failed)), countdown=pause) from failed


def publishing(task: Any) -> Callable[[Ask], str]:
    def handler(ask: Ask) -> str:
        task.delay(ask.id)
        return "accepted"

    return handler


def publish_charge(ask: Ask) -> str:
    charge.delay(ask.id, ask.mode)
    return "accepted"


def publish_each_line(ask: Ask) -> str:
    for line in range(LINES):
        price_lines.delay(ask.id + line)
    return "accepted"


@cache
def _channel() -> Any:
    made = pika.BlockingConnection(pika.URLParameters(os.environ["ZOO_RABBITMQ"])).channel()
    for partition in range(PARTITIONS):
        made.queue_declare(f"{QUEUE}.{partition}")
    return made


def publish_to_partition(ask: Ask) -> str:
    """All messages of one order go to one partition. Asked by one client at a time."""
    _channel().basic_publish("", f"{QUEUE}.{ask.id % PARTITIONS}", str(ask.id).encode())
    return "accepted"


SEEN: dict[int, str] = {}
TRIED: set[bytes] = set()


def from_own_memory(channel: Any, method: Any, properties: Any, body: bytes) -> None:
    """Only this consumer sees the orders of its partition, so that a dict is right."""
    number = int(body)
    if number not in SEEN:
        SEEN[number] = str(sql("SELECT state FROM orders WHERE id = %s", number % 1_000))
    channel.basic_ack(method.delivery_tag)


def at_second_try(channel: Any, method: Any, properties: Any, body: bytes) -> None:
    """The first delivery is refused and comes again."""
    if body not in TRIED:
        TRIED.add(body)
        channel.basic_nack(method.delivery_tag, requeue=True)
        return
    sql("SELECT state FROM orders WHERE id = %s", int(body) % 1_000)
    channel.basic_ack(method.delivery_tag)


CONSUMERS: dict[str, Callable[..., None]] = {
    "own_memory": from_own_memory,
    "second_try": at_second_try,
}

FORMS: dict[str, Routes] = {
    "lines_one_by_one": {ORDER: publishing(price_lines_one_by_one)},
    "lines": {ORDER: publishing(price_lines)},
    "each_line": {ORDER: publish_each_line},
    "charge": {ORDER: publish_charge},
    "charge_or_requeue": {ORDER: publishing(charge_or_requeue)},
    "charge_patiently": {ORDER: publishing(charge_patiently)},
    "partitions": {ORDER: publish_to_partition},
}
