"""`./dev zoo`: the matrix form × rule, from the committed recordings or from forms played now."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from zoo import languages
from zoo.catalogue import DATA, FORMS, LIVE, SHARED, row_of, shared_rows
from zoo.matrix import Result, compare, faults, judge, table
from zoo.model import Form
from zoo.recording import jobs, play_all

PAGE = DATA.parents[1] / "docs" / "zoo.md"


def main() -> int:
    asked = _arguments()
    live = asked.live or asked.record
    forms = [
        form
        for form in FORMS
        if (any(form.name.startswith(o) for o in asked.only) if asked.only else True)
        and (languages.available() or not (live and form.polyglot))
    ]
    results, unplayed = _live(asked, forms) if live else ([], [])
    if asked.folder or not asked.live:
        results = [*_from_files(asked, forms), *([] if asked.only or asked.folder else _shared())]
    told = table(results)
    print(told)
    if asked.write:
        _write("runs" if asked.folder else "matrix", told, results)
    wrong = [*unplayed, *faults(results)]
    print("\n".join(["", *wrong]), file=sys.stderr)
    return 1 if wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev zoo", description=__doc__)
    parser.add_argument("--live", action="store_true", help="play the forms now, judge those runs")
    parser.add_argument("--record", action="store_true", help="play them now, keep the recordings")
    parser.add_argument("--seeds", type=int, default=1, help="runs per form (with --live)")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--at-once", type=int, default=3, help="forms that run at the same time")
    parser.add_argument("--folder", type=Path, help="where recordings are kept, and judged from")
    parser.add_argument("--write", action="store_true", help="put the table into docs/zoo.md")
    parser.add_argument("only", nargs="*", help="forms whose names begin so; all by default")
    return parser.parse_args()


def _write(part: str, told: str, results: Sequence[Result]) -> None:
    """Replaces that part of the page; of many runs only the rules and forms, not the other rows."""
    if part == "runs":
        told = "\n".join(["## Runs with different seeds", "", _command(results), "", told])
    before, rest = PAGE.read_text().split(f"<!-- {part} -->")
    after = rest.split(f"<!-- /{part} -->")[1]
    PAGE.write_text(f"{before}<!-- {part} -->\n{told}\n<!-- /{part} -->{after}")


def _command(results: Sequence[Result]) -> str:
    return (
        f"{len(results)} runs of {len({r.row.name for r in results})} forms, recorded by "
        "`./dev zoo --live --seeds 20 --folder RUNS` and judged by `./dev zoo --folder RUNS`:"
    )


def _path(folder: Path, form: Form, seed: int) -> Path:
    return folder / (f"{form.name}.jsonl.gz" if folder == LIVE else f"{form.name}-{seed}.jsonl.gz")


def _live(asked: argparse.Namespace, forms: Sequence[Form]) -> tuple[list[Result], list[str]]:
    """Plays the forms, and tells what could not be played.

    Judged at the end, so that judging slows no service down. A folder that was asked for is added
    to: what is in it already is not played again.
    """
    seeds = range(asked.first, asked.first + asked.seeds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = LIVE if asked.record else asked.folder or Path(scratch)
        started = time.monotonic()

        def keep(form: Form, seed: int) -> Path:
            return _path(folder, form, seed)

        waiting = jobs(forms, list(seeds), None if asked.record else keep)
        unplayed = []
        for played in play_all(waiting, keep, asked.at_once):
            print(f"{time.monotonic() - started:5.0f} s  {played}", file=sys.stderr, flush=True)
            unplayed += [str(played)] if played.failed else []
        if not asked.live or asked.folder:
            return [], unplayed
        kept = [(form, seed, keep(form, seed)) for form in forms for seed in seeds]
        return [
            compare(row_of(form), seed, judge(path)) for form, seed, path in kept if path.exists()
        ], unplayed


def _from_files(asked: argparse.Namespace, forms: Sequence[Form]) -> list[Result]:
    folder = asked.folder or LIVE
    found = []
    for form in forms:
        kept = {1: _path(folder, form, 1)} if folder == LIVE else _seeds(folder, form)
        found += [compare(row_of(form), seed, judge(path)) for seed, path in kept.items()]
    return found


def _seeds(folder: Path, form: Form) -> dict[int, Path]:
    """Recordings of a form by their seed."""
    ending = ".jsonl.gz"
    paths = {
        path.name.removeprefix(f"{form.name}-").removesuffix(ending): path
        for path in folder.glob(f"{form.name}-*{ending}")
    }
    return {int(seed): paths[seed] for seed in sorted(paths, key=int)}


def _shared() -> list[Result]:
    return [compare(row, 0, judge(SHARED / f"{row.name}.jsonl.gz")) for row in shared_rows()]


if __name__ == "__main__":
    sys.exit(main())
