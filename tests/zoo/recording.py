"""Forms played live, and what they exported as files: OTLP/JSON lines, gzip."""

from __future__ import annotations

import gzip
import queue
import random
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.otlp import as_json
from zoo.model import DRESSES, Dress, Form
from zoo.world import ROOT, Servers, all_servers, world

Job = tuple[Form, Dress, tuple[int, ...]]
Keep = Callable[[Form, int], Path]
"""Where the recording of a form and a seed is kept."""
_SLOTS = 12
"""Redis databases: forms that run at once never share one."""


@dataclass(frozen=True, slots=True)
class Played:
    """A job that has ended. failed: why nothing was recorded, None when all went well."""

    form: Form
    seeds: tuple[int, ...]
    failed: BaseException | None = None

    def __str__(self) -> str:
        told = f"{self.form.name} {self.seeds}"
        return f"{told} FAILED {self.failed!r}" if self.failed else told


def write(bodies: Sequence[bytes], path: Path) -> None:
    """Bodies as OTLP/JSON lines; folders of this machine, which stack traces name, are not kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for body in bodies:
        request = ExportTraceServiceRequest.FromString(body)
        line = as_json(request).replace(str(ROOT).encode(), b"/srv/zoo")
        lines.append(line.replace(sys.base_prefix.encode(), b"/usr/local"))
    # whole or not at all: a run that is continued takes what is there for played
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(gzip.compress(b"\n".join([*lines, b""]), mtime=0))
    unfinished.replace(path)


def dress_of(form: Form, seed: int) -> Dress:
    """Every form is seen in all dresses, and every run of the zoo in a mix of them."""
    return DRESSES[(zlib.crc32(form.name.encode()) + seed) % len(DRESSES)]


def jobs(forms: Sequence[Form], seeds: Sequence[int], keep: Keep | None = None) -> list[Job]:
    """What is started once: a form in a dress for some seeds; a form that must be fresh for one.

    keep: seeds whose recording is there are not played again.
    """
    made: list[Job] = []
    for form in forms:
        wanted = [seed for seed in seeds if keep is None or not keep(form, seed).exists()]
        if form.fresh:
            made += [(form, dress_of(form, seed), (seed,)) for seed in wanted]
            continue
        by_dress: dict[Dress, list[int]] = defaultdict(list)
        for seed in wanted:
            by_dress[dress_of(form, seed)].append(seed)
        made += [(form, dress, tuple(those)) for dress, those in by_dress.items()]
    # each form once before any a second time: an interrupted run has seen them all
    return sorted(made, key=lambda job: job[2])


def play(job: Job, shared: Servers, slot: int, keep: Keep) -> list[Path]:
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


def play_all(waiting: Sequence[Job], keep: Keep, at_once: int) -> Iterator[Played]:
    """Plays all jobs; tells of each as it ends. A job that fails does not end the others."""
    slots: queue.SimpleQueue[int] = queue.SimpleQueue()
    for slot in range(_SLOTS):
        slots.put(slot)

    def run(job: Job, shared: Servers) -> Played:
        slot = slots.get()
        try:
            play(job, shared, slot, keep)
        except Exception as failed:  # noqa: BLE001 - told to whoever asked for the job
            return Played(job[0], job[2], failed)
        finally:
            slots.put(slot)
        return Played(job[0], job[2])

    with tempfile.TemporaryDirectory(prefix="spanlint-zoo-") as folder:
        broker = any(form.rabbitmq for form, _, _ in waiting)
        with (
            all_servers(Path(folder), broker=broker) as shared,
            ThreadPoolExecutor(at_once) as pool,
        ):
            running = [pool.submit(run, job, shared) for job in waiting]
            try:
                for done in as_completed(running):
                    yield done.result()
            finally:
                pool.shutdown(cancel_futures=True)
