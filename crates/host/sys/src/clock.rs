//! A clock that nobody can set back: wall time at the start, then the time since boot, which runs on through sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the Unix epoch that never go back and never run slower than the machine does.
///
/// Setting the system's clock forward moves it forward, which ends grants early; setting it back changes nothing.
#[derive(Debug)]
pub struct Clock {
    wall_at_start_ms: u64,
    boot_at_start: Duration,
    latest_ms: AtomicU64,
}

impl Clock {
    /// Starts the clock with the system's wall time, or with `at_least_ms` if that is later: what a record says was already the case.
    #[must_use]
    pub fn start(at_least_ms: u64) -> Self {
        let wall_at_start_ms = read_ms(ClockId::Realtime).max(at_least_ms);
        Self {
            wall_at_start_ms,
            boot_at_start: read(ClockId::Boottime),
            latest_ms: AtomicU64::new(wall_at_start_ms),
        }
    }

    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let elapsed = read(ClockId::Boottime).saturating_sub(self.boot_at_start);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let now = self
            .wall_at_start_ms
            .saturating_add(elapsed_ms)
            .max(read_ms(ClockId::Realtime));
        self.latest_ms.fetch_max(now, Ordering::AcqRel).max(now)
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn read_ms(clock: ClockId) -> u64 {
    u64::try_from(read(clock).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back_and_does_go_on() {
        let clock = Clock::start(0);
        let first = clock.now_ms();
        std::thread::sleep(Duration::from_millis(5));
        let second = clock.now_ms();
        assert!(second >= first + 4, "{first} {second}");
        let ahead = Clock::start(second + 1_000_000);
        assert!(ahead.now_ms() >= second + 1_000_000);
    }
}
