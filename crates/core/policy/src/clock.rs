//! The budget of an evaluation: so many steps, and so much time. No rule of a policy can read either.
//!
//! The engine looks at its clock at every step, and knows only one limit, of time. The clock given to it counts these looks:
//! when the steps are used up, it says that it is tomorrow. So the same request takes the same number of steps everywhere,
//! and a decision that was within its budget is so again when it is replayed; time is the second wall, for single steps over
//! huge values.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use regorus::Engine;
use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, monotonic_now, set_time_source};

/// What one evaluation may use.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    /// Steps of the engine.
    pub(crate) steps: u64,
    /// Time.
    pub(crate) time: Duration,
}

/// Later than any limit.
const TOMORROW: Duration = Duration::from_secs(86_400);

thread_local! {
    /// The steps that the evaluation on this thread has left. An evaluation never leaves its thread.
    static STEPS_LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Limits the next evaluation of `engine` on this thread.
///
/// # Errors
/// When the engine does not see the clock: then nothing would end an endless evaluation.
pub(crate) fn begin(engine: &mut Engine, budget: Budget) -> Result<(), &'static str> {
    STEPS_LEFT.set(budget.steps);
    // The first caller sets the clock for the process; afterwards it is there.
    if monotonic_now().is_none() {
        let set = set_time_source(&StepClock);
        if set.is_err() && monotonic_now().is_none() {
            return Err("the policy engine has no clock to end an evaluation with");
        }
    }
    STEPS_LEFT.set(budget.steps);
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: budget.time,
        // At every step: a step can double a text, and a few of them between two looks could fill the memory.
        check_interval: NonZeroU32::MIN,
    });
    Ok(())
}

struct StepClock;

impl TimeSource for StepClock {
    fn now(&self) -> Option<Duration> {
        static START: OnceLock<Instant> = OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed();
        match STEPS_LEFT.get().checked_sub(1) {
            Some(left) => {
                STEPS_LEFT.set(left);
                Some(elapsed)
            }
            None => Some(elapsed.saturating_add(TOMORROW)),
        }
    }
}

#[cfg(test)]
/// The steps that are left on this thread.
pub(crate) fn steps_left() -> u64 {
    STEPS_LEFT.get()
}
