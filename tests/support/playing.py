"""A form of the zoo that goes on: its services are asked again and again, their spans go to spanlint."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from support.feeding import PROTOBUF
from support.receiver import Receiver
from zoo.model import DRESSES, Dress, Form
from zoo.world import Servers, World, world

_EVERY_S = 0.2


@contextmanager
def playing(  # whom, on what, and where its spans go
    form: Form,
    shared: Servers,
    folder: Path,
    otlp_http: str,
    *,
    slot: int = 0,
    dress: Dress = DRESSES[1],
) -> Iterator[World]:
    """The form's services under its traffic until the block is left; slot: its Redis database."""
    with ExitStack() as stack:
        played = stack.enter_context(world(form, dress, shared, folder, slot))
        stack.enter_context(_passed_on(played.receiver, otlp_http))
        stack.enter_context(repeated(lambda: form.drive(played)))
        yield played


@contextmanager
def repeated(work: Callable[[], None], pause_s: float = 0.0) -> Iterator[None]:
    """Does it again and again in a thread, until the block is left."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            work()
            ended.wait(pause_s)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _passed_on(receiver: Receiver, otlp_http: str) -> Iterator[None]:
    """What arrives at the receiver goes on to spanlint, as a Collector would send it."""
    with httpx.Client(base_url=otlp_http, timeout=30, trust_env=False) as client:

        def send() -> None:
            for _ in range(len(receiver.bodies)):
                body = receiver.bodies.pop(0)
                with suppress(httpx.TransportError):
                    client.post("/v1/traces", content=body, headers=PROTOBUF)

        with repeated(send, _EVERY_S):
            yield
        send()
