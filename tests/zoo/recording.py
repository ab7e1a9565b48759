"""Forms played live, and what they exported as files: OTLP/JSON lines, gzip."""

from __future__ import annotations

import gzip
import queue
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.otlp import as_json
from zoo.model import DRESSES, Dress, Form
from zoo.world import ROOT, Servers, all_servers, world

Job = tuple[Form, Dress, tuple[int, ...]]
_SLOTS = 12
"""Redis databases: forms that run at once never share one."""


def write(bodies: Sequence[bytes], path: Path) -> None:
    """Bodies as OTLP/JSON lines; folders of this machine, which stack traces name, are not kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for body in bodies:
        request = ExportTraceServiceRequest.FromString(body)
        line = as_json(request).replace(str(ROOT).encode(), b"/srv/zoo")
        lines.append(line.replace(sys.base_prefix.encode(), b"/usr/local"))
    path.write_bytes(gzip.compress(b"\n".join([*lines, b""]), mtime=0))


def dress_of(index: int, seed: int) -> Dress:
    """Every form is seen in all dresses, and every run of the zoo in a mix of them."""
    return DRESSES[(index + seed) % len(DRESSES)]


def jobs(forms: Sequence[Form], seeds: Sequence[int]) -> list[Job]:
    """What is started once: a form in a dress for some seeds; a form that must be fresh for one."""
    made: list[Job] = []
    for index, form in enumerate(forms):
        if form.fresh:
            made += [(form, dress_of(index, seed), (seed,)) for seed in seeds]
            continue
        by_dress: dict[Dress, list[int]] = defaultdict(list)
        for seed in seeds:
            by_dress[dress_of(index, seed)].append(seed)
        made += [(form, dress, tuple(those)) for dress, those in by_dress.items()]
    # each form once before any a second time: an interrupted run has seen them all
    return sorted(made, key=lambda job: job[2])


def play(job: Job, shared: Servers, slot: int, keep: Callable[[Form, int], Path]) -> list[Path]:
    """Plays a form once per seed; gives the recordings."""
    form, dress, seeds = job
    with tempfile.TemporaryDirectory(prefix="spanlint-zoo-") as folder:
        bodies: list[list[bytes]] = []
        with world(form, dress, shared, Path(folder), slot) as playing:
            for seed in seeds:
                playing.seed, playing.rng = seed, random.Random(f"{form.name} {seed}")
                form.drive(playing)
                bodies.append(playing.settle())
            receiver = playing.receiver
        bodies[-1] += receiver.bodies  # sent as the processes ended
    paths = []
    for seed, sent in zip(seeds, bodies, strict=True):
        assert sent, f"{form.name}: nothing was exported"
        write(sent, keep(form, seed))
        paths.append(keep(form, seed))
    return paths


def play_all(
    forms: Sequence[Form], seeds: Sequence[int], keep: Callable[[Form, int], Path], at_once: int
) -> Iterator[tuple[Form, tuple[int, ...]]]:
    """Plays all forms with all seeds; tells of each job as it ends."""
    slots: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(_SLOTS):
        slots.put(slot)

    def run(job: Job, shared: Servers) -> Job:
        slot = slots.get()
        try:
            play(job, shared, slot, keep)
        finally:
            slots.put(slot)
        return job

    with tempfile.TemporaryDirectory(prefix="spanlint-zoo-") as folder:
        broker = any(form.rabbitmq for form in forms)
        with (
            all_servers(Path(folder), broker=broker) as shared,
            ThreadPoolExecutor(at_once) as pool,
        ):
            waiting = [pool.submit(run, job, shared) for job in jobs(forms, seeds)]
            try:
                for done in as_completed(waiting):
                    form, _, those = done.result()
                    yield form, those
            finally:
                pool.shutdown(cancel_futures=True)
