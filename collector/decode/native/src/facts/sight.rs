//! What rules can see of services: `detectors/facts/sight.py`.

use super::bins::pane;
use super::groups::{Groups, Kind, Layout, Merge, NO_LEAST};
use super::spans::Spans;
use super::{cell, Seen};
use crate::arrow::Array;
use crate::constants::Constants;

static SIGHT: Layout<5, 1, 14> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("category", Kind::Name(|c| &c.categories)),
        ("kind", Kind::Name(|c| &c.kinds)),
        ("work", Kind::Name(|c| &c.works)),
    ],
    own: [("pane", Kind::Number)],
    measures: [
        ("spans", Merge::Sum),
        ("steady", Merge::Sum),
        ("shaped", Merge::Sum),
        ("valued", Merge::Sum),
        ("targeted", Merge::Sum),
        ("named", Merge::Sum),
        ("rooted", Merge::Sum),
        ("orphaned", Merge::Sum),
        ("instanced", Merge::Sum),
        ("sampled", Merge::Sum),
        ("failed", Merge::Sum),
        ("first_ns", Merge::Least),
        ("sample_ppm", Merge::LeastKnown),
        ("last_ns", Merge::Most),
    ],
};

const WHOLE_PPM: u32 = 1_000_000;

/// A row per group of spans.
#[must_use]
pub fn sight(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let key = |row: usize| {
        Some([
            spans.service.known(row),
            spans.environment.known(row),
            cell(spans.category[row]),
            cell(spans.kind[row]),
            spans.work.known(row).map(u64::from),
        ])
    };
    let mut groups = Groups::new(&SIGHT, seen.patterns, key);
    for row in groups.wanted() {
        let own = [cell(pane(spans.start_ns[row], 60))];
        groups.add(row, own, measures(spans, row, c));
    }
    groups.facts(seen)
}

fn measures(spans: &Spans<'_>, row: usize, c: &Constants) -> [i64; 14] {
    let traits = spans.traits[row];
    let named = spans.route.has(row) || spans.path.has(row) || traits & c.parameters != 0;
    let sampled = spans.sample_ppm.known(row);
    let told = [
        traits & (c.ping | c.control | c.schema | c.health) != 0,
        spans.shape.has(row),
        spans.values.has(row),
        spans.target.has(row),
        named,
        !spans.parent_span_id.has(row),
        !spans.entry_span.has(row),
        spans.instance.has(row),
        sampled.is_some_and(|ppm| ppm < WHOLE_PPM),
        spans.status[row] == c.error,
    ];
    let mut measures = [1; 14];
    for (measure, told) in measures[1..].iter_mut().zip(told) {
        *measure = i64::from(told);
    }
    measures[11] = spans.start_ns[row];
    measures[12] = sampled.map_or(NO_LEAST, i64::from);
    measures[13] = spans.end_ns(row);
    measures
}
