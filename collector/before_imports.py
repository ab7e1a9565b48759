"""What libraries of `serve` have to be told before they are imported, unless the environment does.

Polars has jemalloc of its own, everything else the allocator of the C library. Both keep an arena
for each thread, and in it what was freed: some 45 of 470 MB under 20,000 spans/s were nobody's.

glibc maps what is larger than 128 KB anew each time, and gives it back: every request and every
array of numbers, so that each of their pages was zeroed by the kernel before it was used. That was
a quarter of all CPU. Now 32 MB stay for the next of them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

_SAID = {
    "POLARS_MAX_THREADS": "1",  # one thread uses it
    "OPENBLAS_NUM_THREADS": "1",  # numpy multiplies no matrices here; each thread has a buffer
    "GRPC_VERBOSITY": "NONE",  # what matters is said by us, in one line
    "_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:30,muzzy_decay_ms:0",
}
_MB = 1024 * 1024
_MALLOPT = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 32 * _MB),
    "MALLOC_TOP_PAD_": (-2, 8 * _MB),
    "MALLOC_MMAP_THRESHOLD_": (-3, 32 * _MB),
    "MALLOC_ARENA_MAX": (-8, 1),
}
"""Of glibc: what sets them in the environment, their numbers in malloc.h, and values."""


def prepare() -> None:
    """One thread for Polars, one arena for each allocator, freed pages go back soon."""
    for name, told in _SAID.items():
        os.environ.setdefault(name, told)
    mallopt = _glibc("mallopt")
    for name, (parameter, value) in _MALLOPT.items():
        if name not in os.environ:
            mallopt(parameter, value)


def give_back() -> None:
    """Gives back what the C library kept of freed memory: for when no more spans come.

    While they do, what is given back is asked for again at once, and the kernel zeroes it first.
    """
    _glibc("malloc_trim")(0)


def _glibc(name: str) -> Callable[..., object]:
    """A function of the C library; one that does nothing where another one has none."""
    try:
        found: Callable[..., object] = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return lambda *_: None
    return found
