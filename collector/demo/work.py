"""Background tasks of the shop. Redis is the broker.

The demo looks at who publishes, so no worker runs.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

tasks: Any = Celery("shop", broker=os.environ.get("SHOP_REDIS_URL", "memory://"))  # type: ignore[no-untyped-call]


@tasks.task(name="index_line", ignore_result=True)  # type: ignore[untyped-decorator]
def index_line(line: int) -> None:
    """Put one order line into the search index."""


@tasks.task(name="index_lines", ignore_result=True)  # type: ignore[untyped-decorator]
def index_lines(lines: list[int]) -> None:
    """Put many order lines into the search index."""
