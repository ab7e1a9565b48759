"""duplicate-read: the same question asked twice in one request.

What it does
    Finds requests that run the same read with the same values more than once, with no write to that
    table between.

        GET /checkout                    |==============================|
          SELECT settings                 |=|     |=|     |=|   |=|  |=|

Why is this bad?
    The answer cannot have changed by the request's own doing: every read after the first is a round
    trip for something that was already there. It usually means that several helpers each load what
    the request could have handed to them.

Example
    Bad, each helper asks for itself:

        def currency(): return db.scalar(select(Setting.value).where(Setting.key == "currency"))
        def vat():      return db.scalar(select(Setting.value).where(Setting.key == "currency"))

    Better, once per request:

        @cached_property
        def currency(self): ...

How it decides
    Reads are the same when statement and values are: literals in the text, parameters that the
    instrumentation records, or a statement without any parameter. Where values are hidden only the
    latter can be compared, and the visibility says so. A write to the table in between starts anew.
    `info` from `min_repeats`, `warning` from `warning_repeats` on. Wasted is the time of the reads
    of one identity, less the slowest.

Not flagged
    Locking reads (FOR UPDATE); reads whose answer changes by itself (now(), random(), nextval());
    polling (spread evenly over time); reads that failed; pings and session control.

References
    https://guides.rubyonrails.org/caching_with_rails.html#sql-caching
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from detectors.kit.contract import (
    Context,
    Explanation,
    FactsView,
    Finding,
    Rule,
    Scope,
    State,
    Verdict,
)
from detectors.kit.knobs import knob
from detectors.kit.pricing import (
    as_exemplars,
    code_location,
    fingerprint,
    most_costly,
    share,
    stepped,
    subject_of,
    waterfall,
    weighted_median,
    worst_exemplars,
)
from detectors.kit.repetition import EVEN_SPREAD_CLASS, POLL_INTERVAL_CLASS
from detectors.kit.sightlines import Looking, blind_spots, verdicts
from detectors.kit.traits import Trait
from detectors.kit.wording import times

_SUBJECT = ("service", "entry_label", "operation", "target", "predicate")
_LOOKING = Looking(
    "database reads",
    categories=("db",),
    works=("query",),
    needs_values=True,
    statement="the statement (db.query.text, db.statement)",
    reveal_statement="record statements and let no processor delete db.query.text or db.statement",
)


class DuplicateRead:
    """N106: the same read with the same values in one entry."""

    code = "N106"
    name = "duplicate-read"
    scope: Scope = "local"
    needs = ("duplicates", "entries", "sight", "writes")
    looking = _LOOKING

    @dataclass(frozen=True, slots=True)
    class Settings:
        """Knobs of N106."""

        min_repeats: int = knob(2, "executions of one identity in one entry", low=2)
        warning_repeats: int = knob(5, "executions from which on it is a warning", low=2)

    def judge(self, facts: FactsView, context: Context) -> Verdict:
        """Reads whose identity reaches `min_repeats` and that no clause exempts."""
        rows = self._with_needed(facts, context).with_columns(_exempt().alias("clause"))
        fires = pl.col("clause").is_null() & (pl.col("n_bin") >= pl.col("needed"))
        firing, left_out = most_costly(rows.filter(fires), _SUBJECT)
        findings = []
        for _, group in firing.group_by(*_SUBJECT, maintain_order=True):
            service, operation = (facts.text(group[c][0]) for c in ("service", "entry_label"))
            findings.append(
                _finding(self, facts, context.settings(self, service, operation), group)
            )
        held_back = {
            facts.text(service): _why(group) for (service,), group in rows.group_by("service")
        }
        fired = {f.service for f in findings}
        more = {facts.text(service): n for service, n in left_out.items()}
        spots = blind_spots(facts, _LOOKING)
        return Verdict(tuple(findings), verdicts(self.code, spots, fired, held_back, more))

    def _with_needed(self, facts: FactsView, context: Context) -> pl.DataFrame:
        """Facts `duplicates` with `needed`, the `min_repeats` of each row."""
        rows = facts.table("duplicates")
        pairs = rows.select("service", "entry_label").unique()
        needed = [
            context.settings(self, facts.text(service), facts.text(label)).min_repeats
            for service, label in pairs.iter_rows()
        ]
        pairs = pairs.with_columns(pl.Series("needed", needed, dtype=pl.Int64))
        return rows.join(pairs, on=["service", "entry_label"], how="left", maintain_order="left")

    def explain(self, finding: Finding) -> Explanation:
        """The finding in words."""
        d = finding.details
        unchanged = "" if d["writes"] else f" Nobody in {finding.service} was seen writing to it."
        return Explanation(
            f"{finding.subject} is read {times(d)} with the same values in one {finding.operation}",
            f"In {d['entries']} of {d['entries_in_all']} requests, with no write to it between; "
            f"{finding.evidence}: {finding.evidence_reason}.{unchanged}",
            "Read it once per request and hand it on: a request-scoped cache, a cached property, "
            "a DataLoader, or the identity map of the ORM (`session.get`).",
        )


def _exempt() -> pl.Expr:
    """The first clause that holds for a row, in words; null when none does."""
    locking = (pl.col("form") & int(Trait.LOCKING)) != 0
    volatile = (pl.col("form") & int(Trait.VOLATILE)) != 0
    polling = (pl.col("interval_class") >= POLL_INTERVAL_CLASS) & (
        pl.col("spread_class") <= EVEN_SPREAD_CLASS
    )
    return (
        pl.when(locking)
        .then(pl.lit("locking reads"))
        .when(volatile)
        .then(pl.lit("the answer changes by itself"))
        .when(polling & (pl.col("n_bin") > 2))
        .then(pl.lit("spread evenly over time: polling"))
    )


def _why(group: pl.DataFrame) -> tuple[State, str]:
    exempt = group["clause"].drop_nulls().unique().sort().to_list()
    if exempt:
        return "exempt", "; ".join(exempt)
    most, needed = int(group["n_bin"].max()), int(group["needed"].max())  # type: ignore[arg-type]
    return "below_threshold", f"at most {most} executions of one identity; {needed} are needed"


def _finding(rule: Rule, facts: FactsView, settings: Any, rows: pl.DataFrame) -> Finding:
    first = rows.row(0, named=True)
    service, operation = facts.text(first["service"]), facts.text(first["entry_label"])
    subject = subject_of(
        facts.text(first["operation"]), facts.text(first["target"]), facts.text(first["predicate"])
    )
    chosen = worst_exemplars(rows["exemplars"].to_list())
    details = _details(facts, rows, chosen[0])
    environments = rows["environment"].unique().to_list()
    panes = rows.group_by("pane").agg(pl.col("entries").sum(), pl.col("wasted_ns").sum())
    constant = (rows["form"] & int(Trait.PARAMETERS) == 0).all()
    return Finding(
        code=rule.code,
        rule=rule.name,
        severity=stepped("info", 1 if details["n_max"] >= settings.warning_repeats else 0),
        scope=rule.scope,
        evidence="observed",
        evidence_reason="the statement has no parameter"
        if constant
        else "the values in the spans are equal",
        service=service,
        environment=facts.text(environments[0]) or None if len(environments) == 1 else None,
        operation=operation,
        subject=subject,
        occurrences=details["entries"],
        traces=int(rows["traces"].sum()),
        wasted_ns=int(rows["wasted_ns"].sum()),
        first_seen_ns=int(rows["first_ns"].min()),  # type: ignore[arg-type]
        last_seen_ns=int(rows["last_ns"].max()),  # type: ignore[arg-type]
        fingerprint=fingerprint(rule.code, service, operation, subject),
        exemplars=as_exemplars(chosen),
        waterfall=waterfall(facts, chosen[0], service, operation),
        details=details,
        panes={p: (n, w) for p, n, w in panes.sort("pane").iter_rows()},
    )


def _details(facts: FactsView, rows: pl.DataFrame, worst: Any) -> dict[str, Any]:
    here = (pl.col("service") == rows["service"][0]) & (
        pl.col("entry_label") == rows["entry_label"][0]
    )
    written = facts.table("writes").filter(
        (pl.col("service") == rows["service"][0]) & pl.col("target").is_in(rows["target"].implode())
    )
    entries = int(rows["entries"].sum())
    wasted_ns = int(rows["wasted_ns"].sum())
    return {
        "n": weighted_median(list(zip(rows["n_bin"], rows["entries"], strict=True))),
        "n_min": int(rows["n_min"].min()),  # type: ignore[arg-type]
        "n_max": int(rows["n_max"].max()),  # type: ignore[arg-type]
        "repeats": int(rows["repeats"].sum()),
        "extra": int(rows["extra"].sum()),
        "entries": entries,
        "entries_in_all": max(int(facts.table("entries").filter(here)["entries"].sum()), entries),
        "system": facts.text(rows["system"].drop_nulls().min()),  # type: ignore[arg-type]
        "statements": sorted({facts.text(c) for c in rows["shape"].drop_nulls()})[:3],
        "writes": int(written["writes"].sum()),
        "wasted_share": share(wasted_ns, int(rows["entry_ns"].sum())),
        "wasted_ms_per_entry": round(wasted_ns / entries / 1e6, 3),
        **code_location(facts, worst),
    }


RULE: Rule = DuplicateRead()
