"""One consumer: a Celery worker, or pika on the partition of its instance number.

`ZOO_FORM` is `messages.celery` or `messages.<consumer>`. It listens on `ZOO_PORT` once it is
ready, for nobody but those who wait for it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import pika
from celery.signals import worker_ready
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from zoo.services import messages

_ready: list[socket.socket] = []


def tell_ready(**_: object) -> None:
    listener = socket.create_server(("127.0.0.1", int(os.environ["ZOO_PORT"])))
    _ready.append(listener)


def run_celery() -> None:
    if os.environ["ZOO_FRAMEWORK"] == "linked_worker":
        # an option that no variable of the environment sets
        CeleryInstrumentor().instrument(use_span_links=True)
    worker_ready.connect(tell_ready)
    messages.tasks.worker_main(
        [
            "worker",
            "--pool",
            "threads",
            "-c",
            "4",
            "--loglevel",
            "WARNING",
            "--without-gossip",
            "--without-mingle",
        ]
    )


def run_pika(name: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["ZOO_RABBITMQ"]))
    channel = connection.channel()
    queue = f"{messages.QUEUE}.{os.environ['ZOO_INSTANCE']}"
    channel.queue_declare(queue)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(queue, messages.CONSUMERS[name])
    tell_ready()
    channel.start_consuming()


def main() -> None:
    name = os.environ["ZOO_FORM"].partition(".")[2]
    if name == "celery":
        run_celery()
        return
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    run_pika(name)


if __name__ == "__main__":
    main()
