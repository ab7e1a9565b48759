//! The columns that facts tables read, of repaired spans in order.

use std::ops::Range;

use crate::reading::{Column, Flags, Lists, Table};

macro_rules! spans {
    (whole { $($whole:ident: $number:ty),* $(,)? }
     numbers { $($column:ident: $held:ty),* $(,)? }
     flags { $($flag:ident),* $(,)? }
     lists { $($list:ident: $item:ty),* $(,)? }) => {
        /// Columns by name; their meaning is that of `detectors/kit/columns.py`, `answers.py` and
        /// `aside.py`.
        #[allow(missing_docs)] // likewise
        pub struct Spans<'a> {
            /// how many there are
            pub rows: usize,
            $(pub $whole: &'a [$number],)*
            $(pub $column: Column<'a, $held>,)*
            $(pub $flag: Flags<'a>,)*
            $(pub $list: Lists<'a, $item>,)*
        }

        impl<'a> Spans<'a> {
            /// All of them; none where a column is missing or has nulls that no decoder writes.
            #[must_use]
            pub fn of(table: &'a Table) -> Option<Self> {
                Some(Self {
                    rows: table.len(),
                    $($whole: table.numbers(stringify!($whole))?.whole()?,)*
                    $($column: table.numbers(stringify!($column))?,)*
                    $($flag: table.flags(stringify!($flag))?,)*
                    $($list: table.lists(stringify!($list))?,)*
                })
            }

            /// The names of the columns.
            #[must_use]
            pub fn names() -> Vec<&'static str> {
                vec![
                    $(stringify!($whole),)*
                    $(stringify!($column),)*
                    $(stringify!($flag),)*
                    $(stringify!($list),)*
                ]
            }
        }
    };
}

spans! {
    whole {
        trace_hi: u64,
        trace_lo: u64,
        span_id: u64,
        start_ns: i64,
        duration_ns: i64,
        entry_start_ns: i64,
        entry_duration_ns: i64,
        trace: u32,
        entry: u32,
        parent_row: i32,
        self_ns: i64,
        lookups: i64,
        fills: i64,
        value_writes: i64,
        evictions: i64,
        kind: u8,
        status: u8,
        category: u8,
        entry_kind: u8,
        traits: u32,
        repeat: i32,
    }
    numbers {
        service: u64,
        environment: u64,
        version: u64,
        instance: u64,
        entry_label: u64,
        entry_span: u64,
        label: u64,
        system: u64,
        namespace: u64,
        operation: u64,
        target: u64,
        predicate: u64,
        shape: u64,
        values: u64,
        key: u64,
        peer: u64,
        route: u64,
        callee: u64,
        callee_label: u64,
        error_type: u64,
        code_file: u64,
        actor: u64,
        entity: u64,
        http_status: i32,
        rpc_status: i32,
        code_line: i32,
        path: u64,
        parent_span_id: u64,
        message_id: u64,
        sample_ppm: u32,
        lookup_key: u64,
        expiry: u8,
        entry_entity: u64,
        entry_actor: u64,
        entry_path: u64,
        servers: u32,
        tries: u32,
        resends: i32,
        server_ns: i64,
        answer_span: u64,
        answer_start_ns: i64,
        answer_end_ns: i64,
        work: u8,
    }
    flags {
        is_entry,
        outgoing,
        failed,
        hit,
        refreshed,
        cleared,
        cleared_before,
        bumped,
        looked,
        filled,
        lookup_hit,
        entry_ok,
        remote_parent,
    }
    lists {
        links: u64,
    }
}

impl<'a> Spans<'a> {
    /// The texts that tell patterns apart.
    #[must_use]
    pub fn named(&self) -> [&Column<'a, u64>; 17] {
        [
            &self.service,
            &self.environment,
            &self.version,
            &self.instance,
            &self.entry_label,
            &self.label,
            &self.system,
            &self.namespace,
            &self.operation,
            &self.target,
            &self.predicate,
            &self.shape,
            &self.peer,
            &self.callee,
            &self.callee_label,
            &self.error_type,
            &self.route,
        ]
    }

    /// The rows of each trace.
    pub fn traces(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut begin = 0;
        self.trace
            .chunk_by(|one, other| one == other)
            .map(move |rows| {
                begin += rows.len();
                begin - rows.len()..begin
            })
    }

    /// When a span ends.
    #[inline]
    #[must_use]
    pub fn end_ns(&self, row: usize) -> i64 {
        self.start_ns[row].wrapping_add(self.duration_ns[row])
    }

    /// Whether the protocol says that the other side cannot serve: `work.unavailable`.
    #[inline]
    #[must_use]
    pub fn unavailable(&self, row: usize) -> bool {
        let http = self.http_status.get(row);
        http >= 500 || http == 408 || http == 429 || matches!(self.rpc_status.get(row), 4 | 14)
    }

    /// Whether a call failed and the other side said nothing: `work.unanswered`.
    #[inline]
    #[must_use]
    pub fn unanswered(&self, row: usize, error: u8) -> bool {
        let rpc = self.rpc_status.get(row);
        let silent = !self.http_status.has(row) && rpc == 0;
        self.status[row] == error && silent || matches!(rpc, 1 | 4)
    }

    /// Whether a request was answered with success: `work.answered`.
    #[inline]
    #[must_use]
    pub fn answered(&self, row: usize, error: u8) -> bool {
        let http = self.http_status.known(row).unwrap_or(200);
        (200..300).contains(&http) && self.status[row] != error && self.rpc_status.get(row) == 0
    }

    /// Whether a request failed as one does whose state is elsewhere: `work.refused`.
    #[inline]
    #[must_use]
    pub fn refused(&self, row: usize, error: u8) -> bool {
        let http = self.http_status.get(row);
        let broken = !self.http_status.has(row) && self.status[row] == error;
        let refusal = matches!(http, 401 | 403 | 404 | 409 | 410) || http >= 500;
        refusal || broken || self.rpc_status.get(row) != 0
    }
}
