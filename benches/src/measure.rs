//! Times: taken one by one, looked at in order.

use std::time::{Duration, Instant};

/// Times of the same thing, done again and again.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The time below which so many parts of a thousand lie.
    #[must_use]
    pub fn at(&self, per_mille: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted
            .get(last * per_mille / 1000)
            .copied()
            .unwrap_or_default()
    }

    /// The middle one.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.at(500)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        Self(times.into_iter().collect())
    }
}

/// What `work` gives and how long it took.
///
/// # Errors
/// As `work`.
pub fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration), E> {
    let start = Instant::now();
    let value = work()?;
    Ok((value, start.elapsed()))
}

/// A time in the unit that suits it, with three digits.
#[must_use]
pub fn show(time: Duration) -> String {
    let nanoseconds = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanoseconds {
        small if small < 1e3 => (small, "ns"),
        micro if micro < 1e6 => (micro / 1e3, "µs"),
        milli if milli < 1e9 => (milli / 1e6, "ms"),
        long => (long / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// How many times as long.
#[must_use]
pub fn ratio(time: Duration, of: Duration) -> String {
    if of.is_zero() {
        return "–".to_owned();
    }
    format!("{}×", three_digits(time.as_secs_f64() / of.as_secs_f64()))
}

/// How many a second.
#[must_use]
pub fn rate(count: usize, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds == 0.0 {
        return "–".to_owned();
    }
    // Counts stay far below 2^52, so that the conversion is exact.
    let per_second = u32::try_from(count).map_or(f64::MAX, f64::from) / seconds;
    if per_second >= 10_000.0 {
        format!("{:.1} k/s", per_second / 1e3)
    } else {
        format!("{per_second:.0} /s")
    }
}

fn three_digits(value: f64) -> String {
    match value {
        small if small < 10.0 => format!("{small:.2}"),
        middle if middle < 100.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_order_of_times() {
        let times: Times = (1..=101).rev().map(Duration::from_millis).collect();
        assert_eq!(times.at(0), Duration::from_millis(1));
        assert_eq!(times.median(), Duration::from_millis(51));
        assert_eq!(times.at(950), Duration::from_millis(96));
        assert_eq!(times.at(1000), Duration::from_millis(101));
        assert_eq!(Times::default().median(), Duration::ZERO);
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(show(Duration::from_nanos(1234)), "1.23 µs");
        assert_eq!(show(Duration::from_millis(45)), "45.0 ms");
        assert_eq!(
            ratio(Duration::from_millis(45), Duration::from_millis(10)),
            "4.50×"
        );
        assert_eq!(ratio(Duration::from_millis(45), Duration::ZERO), "–");
        assert_eq!(rate(30_000, Duration::from_secs(2)), "15.0 k/s");
        assert_eq!(rate(300, Duration::from_secs(2)), "150 /s");
    }
}
