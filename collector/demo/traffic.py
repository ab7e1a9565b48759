"""A bounded number of requests to each endpoint: the good form first, then the bad one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx

from collector.demo.cases import Case

AT_ONCE = 4
"""Requests in flight: enough that traces interleave, few enough for two cores."""


def drive(
    cases: Iterable[Case], urls: Mapping[str, str], requests: int, told: Callable[[], None]
) -> None:
    """`requests` to each form of each case; `told` is called after each.

    Raises httpx.HTTPStatusError when a service answers with an error.
    """
    chosen = tuple(cases)
    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(AT_ONCE) as pool:

        def send(work: tuple[Case, str, int]) -> None:
            case, form, size = work
            url = f"{urls[case.service]}{case.path}/{form}"
            client.request(case.method, url, params={"n": size}).raise_for_status()
            told()

        for good in (True, False):
            work = [
                (case, case.good if good else case.bad, size)
                for size in zip(*(case.sizes(requests) for case in chosen), strict=True)
                for case, size in zip(chosen, size, strict=True)
            ]
            list(pool.map(send, work))
