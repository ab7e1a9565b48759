"""Forms with RabbitMQ: Celery workers and consumers of partitions."""

from __future__ import annotations

from collections.abc import Callable

from zoo.forms.failures import buy
from zoo.model import Form, Kind, Part
from zoo.world import Send, World


def orders(world: World) -> None:
    """Orders that are worked on later."""
    count = world.rng.randint(40, 60)
    world.send([Send("POST", f"/orders/{world.id(n)}") for n in range(count)], workers=2)


def returning(world: World) -> None:
    """A few orders that are changed again and again, by one client."""
    numbers = [world.id(world.rng.randint(0, 30)) for _ in range(260)]
    world.send([Send("POST", f"/orders/{n}") for n in numbers], workers=1)


def charges(world: World) -> None:
    """Payment works, then it does not."""
    buy(world, 6, rate=10)
    buy(world, 12, "down", rate=10)


def outage(world: World) -> None:
    """Connections to payment end without an answer for a while."""
    proxy = world.services["payment"].proxy
    buy(world, 5, rate=6)
    proxy.drop = True
    buy(world, 8, rate=5)
    proxy.drop = False
    buy(world, 3, rate=6)


def _form(  # noqa: PLR0913
    name: str,
    kind: Kind,
    what: str,
    routes: str,
    consumer: str,
    drive: Callable[[World], None],
    *expects: str,
    allows: tuple[str, ...] = (),
    consumers: int = 1,
    payment: str = "",
    worker: str = "worker",
) -> Form:
    parts = [
        Part("shop", f"messages.{routes}", driver="psycopg"),
        Part("worker", f"messages.{consumer}", consumers, framework=worker),
    ]
    if payment:
        parts.append(Part("payment", f"failures.{payment}"))
    return Form(name, kind, what, tuple(parts), drive, expects, allows, rabbitmq=True)


FORMS = (
    _form("task_lazy", "bad", "a Celery task that reads row by row", "lines_one_by_one", "celery",
          orders, "N101 worker products"),
    _form("task_eager", "good", "a Celery task with one query", "lines", "celery", orders),
    _form("publish_each", "bad", "a message per order line", "each_line", "celery", orders,
          "N105 shop price_lines"),
    _form("task_retries", "bad", "a task that is tried again at once while payment is down",
          "charge", "celery", charges, "F102", allows=("F101", "F103", "F104"),
          payment="payment_failing"),
    _form("task_retries_linked", "bad", "the same; a link joins each run to what sent it",
          "charge", "celery", charges, "F102", allows=("F101", "F103", "F104"),
          payment="payment_failing", worker="linked_worker"),
    _form("task_requeued", "bad", "a task that goes back to its queue while payment is down",
          "charge_or_requeue", "celery", outage, "F102 worker charge_or_requeue",
          allows=("F101", "F103", "F104"), payment="payment_paid"),
    _form("task_requeued_linked", "bad", "the same; a link joins each run to what sent it",
          "charge_or_requeue", "celery", outage, "F102 worker charge_or_requeue",
          allows=("F101", "F103", "F104"), payment="payment_paid", worker="linked_worker"),
    _form("task_backoff", "good", "a task whose pauses grow and differ", "charge_patiently",
          "celery", orders, payment="payment_failing"),
    _form("partitions", "distractor", "three consumers, each with the orders of its partition",
          "partitions", "own_memory", returning, consumers=3),
    _form("redelivered", "distractor", "every message is refused once and comes again",
          "partitions", "second_try", returning, consumers=3),
)  # fmt: skip
