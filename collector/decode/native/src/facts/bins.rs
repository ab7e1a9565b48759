//! Numbers as bins, as `detectors/kit/bins.py` defines them, to the last bit.

use std::hint::black_box;
use std::sync::LazyLock;

const NS: i64 = 1_000_000_000;

/// The start of the pane that a time is in.
#[inline]
#[must_use]
pub fn pane(start_ns: i64, seconds: i64) -> i64 {
    let width = seconds * NS;
    start_ns.div_euclid(width).wrapping_mul(width)
}

/// The whole numbers at which half octaves begin.
///
/// Where one begins is told by the formula itself, whose logarithms are not exact.
static HALVES: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let begin = |index| {
        // The bins before a number are all smaller ones: a bisection finds where one begins.
        let (mut low, mut high) = (1i64, i64::MAX);
        while low < high {
            let middle = low + (high - low) / 2;
            if half_octave(middle) >= index {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    };
    (0..2 * 63).map(begin).collect()
});

fn half_octave(number: i64) -> i64 {
    ((number as f64).log(2.0) * 2.0).floor() as i64
}

/// The bin of a duration: half octaves above 1 µs.
#[inline]
#[must_use]
pub fn duration_bin(duration_ns: i64) -> i64 {
    let micros = duration_ns.div_euclid(1_000).max(1);
    let octave = micros.ilog2() as usize;
    // From the bin before the octave's to the first of the next: logarithms are rounded.
    let first = (2 * octave).saturating_sub(1);
    let near = &HALVES[first..HALVES.len().min(2 * octave + 3)];
    let reached = near.iter().take_while(|begin| **begin <= micros);
    (first + reached.count()) as i64 - 1
}

/// The bin of a duration that is asked for finely: sixteenth octaves above 1 µs.
#[must_use]
pub fn fine_bin(duration_ns: i64) -> i64 {
    let micros = duration_ns.div_euclid(1_000).max(1);
    ((micros as f64).log(2.0) * 16.0).floor() as i64
}

const GAP_FLOOR_NS: i64 = 100_000;

/// The bin of a gap: quarter octaves above 0.1 ms.
#[must_use]
pub fn gap_bin(gap_ns: i64) -> i64 {
    let tenths = gap_ns.div_euclid(GAP_FLOOR_NS).clamp(1, 1 << 26);
    ((tenths as f64).log(2.0) * 4.0).floor() as i64
}

/// The bin of the ratio of a gap to the one before: eighth octaves, from -32 to 32.
#[must_use]
pub fn growth_bin(gap_ns: i64, before_ns: i64) -> i64 {
    let [now, then] = [gap_ns, before_ns].map(|gap| gap.max(GAP_FLOOR_NS) as f64);
    (((now / then).log(2.0) * 8.0).floor() as i64).clamp(-32, 32)
}

/// The smallest count of the bin of a count: itself up to 32, then quarter octaves.
#[must_use]
pub fn count_bin(count: i64) -> i64 {
    if count <= 32 {
        return count;
    }
    let quarter = ((count as f64).log(2.0) * 4.0).floor() / 4.0;
    // A base that is seen would make it another function, which differs in the last bit.
    black_box(2.0f64).powf(quarter).ceil() as i64
}

/// Thousandths of ln(ms + 1).
#[inline]
#[must_use]
pub fn fixed_log(duration_ns: i64) -> i64 {
    let millis = duration_ns as f64 / 1e6;
    // Adding what has no bits left for a fraction rounds to the even one of halves, without a call.
    let whole = 3.0 * (1u64 << 51) as f64;
    ((millis.ln_1p() * 1_000.0 + whole) - whole) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_what_the_formula_says() {
        let numbers = (0..63).flat_map(|octave| {
            let begin = 1i64 << octave;
            [
                begin - 1,
                begin,
                begin + 1,
                begin + begin / 3,
                begin + begin / 2,
            ]
        });
        for micros in numbers.filter(|number| *number > 0 && *number < i64::MAX / 1_000) {
            assert_eq!(
                duration_bin(micros * 1_000),
                half_octave(micros),
                "{micros}"
            );
        }
        assert_eq!((duration_bin(-5), duration_bin(999)), (0, 0));
    }
}
