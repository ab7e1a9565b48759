"""A gateway before a shop before payment: how failures, retries and slowness pass through.

The database is `orders(id, state)`, the innermost service is `payment`.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from zoo.ask import Ask, Failed, Handler, Routes
from zoo.stores import call, session, sql

CHECKOUT = "POST /checkout/{id}"
ORDER = "POST /orders/{id}"
PAY = "POST /payments/{id}"
ATTEMPTS = 3


def payment(ask: Ask) -> str:
    """What is paid is read from the database."""
    try:
        return str(sql("SELECT state FROM orders WHERE id = %s", ask.id % 1_000))
    except Exception as error:
        raise Failed(500, type(error).__name__) from error


def retrying_query(ask: Ask) -> str:
    """Asks a database that does not answer three times."""
    for _ in range(ATTEMPTS - 1):
        try:
            return payment(ask)
        except Failed:
            continue
    return payment(ask)


def paid(ask: Ask) -> str:
    return "paid"


def unpaid(ask: Ask) -> str:
    """There is no such payment: an answer, not a failure."""
    raise Failed(404)


def failing(ask: Ask) -> str:
    """Fails when traffic says so, so that healthy and failing stretches are exact."""
    if ask.mode == "down":
        raise Failed(503)
    return "paid"


def failing_half(ask: Ask) -> str:
    if ask.mode == "down" and random.random() < 0.5:
        raise Failed(503)
    return "paid"


def slow(ask: Ask) -> str:
    """Goes on for 0.4 s whatever the caller does."""
    time.sleep(0.4)
    return "paid"


def slow_with_deadline(ask: Ask) -> str:
    """Gives up when the caller has."""
    left = float(ask.headers.get("x-deadline-s", "1"))
    time.sleep(min(0.4, left * 0.8))
    if left < 0.4:
        raise Failed(503, "deadline")
    return "paid"


def working(ask: Ask) -> str:
    """Its own work, which traffic can make slower."""
    time.sleep(0.005 + (0.2 if ask.mode == "slow" else 0.0))
    return "paid"


def querying(ask: Ask) -> str:
    """The database's work, which traffic can make slower."""
    nap = 0.2 if ask.mode == "slow" else 0.001
    return str(sql("SELECT state, pg_sleep(%s) FROM orders WHERE id = %s", nap, ask.id % 1_000))


def passing(peer: str, path: str, **how: Any) -> Handler:
    """Calls the next service once."""

    def handler(ask: Ask) -> Any:
        return call(peer, f"{path}/{ask.id}", method="POST", mode=ask.mode, **how)

    return handler


def retrying(peer: str, path: str, pause: Callable[[int], float]) -> Handler:
    """Calls it up to three times; `pause(n)` s after the n-th failure."""

    def handler(ask: Ask) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call(peer, f"{path}/{ask.id}", method="POST", mode=ask.mode)
            except Failed:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(pause(attempt))
        return None

    return handler


def at_once(attempt: int) -> float:
    return 0.0


def flat(attempt: int) -> float:
    return 0.02


def growing(attempt: int) -> float:
    """Exponential, with full jitter above half."""
    return 0.1 * 3**attempt * random.uniform(0.5, 1.0)


@cache
def _hidden() -> Any:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    made = requests.Session()
    retry = Retry(
        total=2, backoff_factor=0, status_forcelist=[503], allowed_methods=None,
        raise_on_status=False,
    )  # fmt: skip
    made.mount("http://", HTTPAdapter(pool_maxsize=32, max_retries=retry))
    return made


def retrying_inside(peer: str, path: str) -> Handler:
    """The HTTP library retries by itself."""

    def handler(ask: Ask) -> Any:
        url = os.environ[f"ZOO_{peer.upper()}_URL"] + f"{path}/{ask.id}"
        answer = _hidden().post(url, timeout=5, headers={"x-mode": ask.mode})
        if answer.status_code >= 500:
            raise Failed(502, peer)
        return answer.json()

    return handler


def falling_back(inner: Handler) -> Handler:
    """A default instead of an error."""

    def handler(ask: Ask) -> Any:
        try:
            return inner(ask)
        except Failed:
            return "pay later"

    return handler


@cache
def _breaker() -> Any:
    import pybreaker

    return pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)


def breaking(inner: Handler) -> Handler:
    """After five failures in a row nothing is called for 30 s."""
    import pybreaker

    def handler(ask: Ask) -> Any:
        try:
            return _breaker().call(inner, ask)
        except (pybreaker.CircuitBreakerError, Failed):
            return "pay later"

    return handler


def three_parts(ask: Ask) -> list[Any]:
    """Three payments of one order: a loop, not a retry."""
    done = []
    for _ in range(3):
        try:
            done.append(call("payment", f"/payments/{ask.id}", method="POST", mode=ask.mode))
        except Failed:
            done.append(None)
    if not any(done):
        raise Failed(502, "payment")
    return done


def with_deadline(ask: Ask) -> Any:
    """Tells the callee how long it waits."""
    url = os.environ["ZOO_PAYMENT_URL"] + f"/payments/{ask.id}"
    try:
        return session().post(url, timeout=0.2, headers={"x-deadline-s": "0.2"}).json()
    except Exception as error:
        raise Failed(503, type(error).__name__) from error


@cache
def _channel() -> Any:
    import grpc

    return grpc.insecure_channel(os.environ["ZOO_PAYMENT_URL"].removeprefix("http://"))


def pay_by_grpc(ask: Ask, patience_s: float | None = 2.0) -> Any:
    """The same call over gRPC, with a deadline."""
    import grpc

    pay = _channel().unary_unary("/zoo.Payments/Pay")
    told = json.dumps({"id": str(ask.id), "mode": ask.mode}).encode()
    try:
        return pay(told, timeout=patience_s).decode()
    except grpc.RpcError as error:
        raise Failed(502, str(error.code())) from error


def retrying_grpc(ask: Ask) -> Any:
    """gRPC without its own retries, in a loop without a pause."""
    for _ in range(ATTEMPTS - 1):
        try:
            return pay_by_grpc(ask)
        except Failed:
            continue
    return pay_by_grpc(ask)


def flaky(ask: Ask) -> str:
    """Fails by itself, a third of the time, and nobody calls it from another service."""
    if ask.id % 3 == 0:
        raise Failed(500)
    return "paid"


TO_SHOP, TO_PAYMENT = ("shop", "/orders"), ("payment", "/payments")

FORMS: dict[str, Routes] = {
    # gateways
    "gateway": {CHECKOUT: passing(*TO_SHOP)},
    "gateway_retrying": {CHECKOUT: retrying(*TO_SHOP, at_once)},
    "gateway_falling_back": {CHECKOUT: falling_back(passing(*TO_SHOP))},
    # shops
    "shop": {ORDER: passing(*TO_PAYMENT)},
    "shop_retrying": {ORDER: retrying(*TO_PAYMENT, at_once)},
    "shop_retrying_flat": {ORDER: retrying(*TO_PAYMENT, flat)},
    "shop_retrying_growing": {ORDER: retrying(*TO_PAYMENT, growing)},
    "shop_retrying_inside": {ORDER: retrying_inside(*TO_PAYMENT)},
    "shop_falling_back": {ORDER: falling_back(passing(*TO_PAYMENT))},
    "shop_breaking": {ORDER: breaking(passing(*TO_PAYMENT))},
    "shop_three_parts": {ORDER: three_parts},
    "shop_impatient": {ORDER: passing(*TO_PAYMENT, timeout=0.1)},
    "shop_with_deadline": {ORDER: with_deadline},
    "shop_patient": {ORDER: passing(*TO_PAYMENT, timeout=None)},
    "shop_with_timeout": {ORDER: passing(*TO_PAYMENT, timeout=0.5)},
    "shop_grpc": {ORDER: pay_by_grpc},
    "shop_grpc_patient": {ORDER: partial(pay_by_grpc, patience_s=None)},
    "shop_grpc_retrying": {ORDER: retrying_grpc},
    # payments
    "payment": {PAY: payment},
    "payment_retrying": {PAY: retrying_query},
    "payment_paid": {PAY: paid},
    "payment_unknown": {PAY: unpaid},
    "payment_failing": {PAY: failing},
    "payment_failing_half": {PAY: failing_half},
    "payment_slow": {PAY: slow},
    "payment_slow_with_deadline": {PAY: slow_with_deadline},
    "payment_working": {PAY: working},
    "payment_querying": {PAY: querying},
    "payment_flaky": {PAY: flaky},
}
