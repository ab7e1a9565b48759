"""Facts `reads`, link by link: which identities a read has, and how they repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from detectors.kit.caching import Link
from detectors.kit.contract import FactsView
from detectors.kit.derived import once
from detectors.kit.sampling import Sample, sample_of

_LINK = ("service", "entry_label", "shape")


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
    parts = sample.rows.partition_by(_LINK, as_dict=True, include_key=False)
    return Reads(sample, parts, sample.rows.clear().drop(_LINK))


@dataclass(frozen=True, slots=True)
class Told:
    """Executions of one read by what tells them apart, and how they repeat.

    executions, identities: of those that values or the path tell apart. hottest: most executions of
    one identity.
    """

    executions: int = 0
    identities: int = 0
    hottest: int = 0
    told: Mapping[str, int] = field(default_factory=dict)

    @property
    def repeat_share(self) -> float:
        """Of the executions, those of an identity seen before."""
        return (self.executions - self.identities) / self.executions if self.executions else 0.0


@once
def told_by_link(facts: FactsView) -> Mapping[tuple[Any, ...], Told]:
    """What facts `reads` tell of each read, by service, operation and shape: all in two queries."""
    # a loop whose values are hidden runs once per request for all that its path can tell (N101)
    counted = pl.when(pl.col("told") == "path").then("traces").otherwise("executions")
    summed = (
        reads_by_link(facts)
        .sample.rows.select(*_LINK, "told", "identity", executions=counted)
        .group_by(*_LINK, "told", "identity")
        .agg(pl.col("executions").sum())
        .group_by(*_LINK, "told")
        .agg(
            pl.col("executions").sum(),
            pl.len().alias("identities"),
            pl.col("executions").max().alias("hottest"),
        )
    )
    found: dict[tuple[Any, ...], Told] = {}
    for *link, told, executions, identities, hottest in summed.iter_rows():
        before = found.get(tuple(link), Told())
        after = replace(before, told={**before.told, str(told): int(executions)})
        if told in ("values", "path"):
            after = replace(
                after,
                executions=before.executions + int(executions),
                identities=before.identities + int(identities),
                hottest=max(before.hottest, int(hottest)),
            )
        found[tuple(link)] = after
    return found
