"""Facts `reads`, link by link: which identities a read has, and how they repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from detectors.kit.caching import Link
from detectors.kit.contract import FactsView
from detectors.kit.derived import once
from detectors.kit.sampling import Sample, sample_of


@dataclass(frozen=True, slots=True)
class Reads:
    """The sample of facts `reads`; `of` gives the rows of one link, without what names it."""

    sample: Sample
    parts: Mapping[tuple[Any, ...], pl.DataFrame] = field(repr=False)
    none: pl.DataFrame = field(repr=False)

    def of(self, link: Link) -> pl.DataFrame:
        """The identities of a read."""
        return self.parts.get((link.service, link.entry_label, link.shape), self.none)


@once
def reads_by_link(facts: FactsView) -> Reads:
    """Facts `reads`, the subjects of its sample, by the read that they belong to."""
    sample = sample_of(facts.table("reads"), "identity")
    by = ["service", "entry_label", "shape"]
    parts = sample.rows.partition_by(by, as_dict=True, include_key=False)
    return Reads(sample, parts, sample.rows.clear().drop(by))


@dataclass(frozen=True, slots=True)
class Told:
    """Executions of one read by what tells them apart, and how they repeat."""

    sample: Sample
    usable: pl.DataFrame
    executions: int
    told: Mapping[str, int]
    identities: int

    @classmethod
    def of(cls, reads: Reads, link: Link) -> Told:
        """What facts `reads` tell of a link."""
        # a loop whose values are hidden runs once per request for all that its path can tell (N101)
        counted = pl.when(pl.col("told") == "path").then("traces").otherwise("executions")
        per = (
            reads.of(link)
            .with_columns(executions=counted)
            .group_by("told", "identity")
            .agg(pl.col("executions", "traces").sum())
        )
        told = per.group_by("told").agg(pl.col("executions").sum())
        usable = per.filter(pl.col("told").is_in(["values", "path"]))
        return cls(
            reads.sample,
            usable,
            int(usable["executions"].sum()),
            {str(t): int(n) for t, n in told.iter_rows()},
            usable.height,
        )

    @property
    def repeat_share(self) -> float:
        """Of the executions, those of an identity seen before."""
        return (self.executions - self.identities) / self.executions if self.executions else 0.0

    @property
    def hottest(self) -> int:
        """Most executions of one identity."""
        return int(self.usable["executions"].max() or 0)  # type: ignore[arg-type]
