//! A bundle's rules made ready to be decided with: names resolved, constants worked out, each rule reached by its number.
//!
//! The engine's interpreter looks every name up anew at each step, by texts that it puts together for that. A [`Plan`] is the same
//! tree with that done once. It is no second opinion: it knows the plain part of the language, and whatever is not plain, be it a
//! construct when the bundle is loaded or an error, a conflict or a long evaluation when it decides, is left to the interpreter, which
//! then says all of it. So a plan never hides an error: it gives a value that was worked out without one, or none.

mod lower;
mod node;
mod run;

use std::time::Duration;

use regorus::Value;
use regorus::unstable::{Module, Ref};

use node::Planned;

/// What is needed to work out one rule of a bundle.
pub(crate) struct Plan {
    /// The rules and functions that the entry needs, by their numbers; the entry is the first.
    parts: Vec<Planned>,
}

impl Plan {
    /// The plan of the rule at `path`, if all that it needs is plain.
    pub(crate) fn of(modules: &[Ref<Module>], data: &Value, path: &[&str]) -> Option<Self> {
        lower::lower(modules, data, path)
            .ok()
            .map(|parts| Self { parts })
    }

    /// The value of the rule; none where the interpreter must say it, or where it is not found within `time`.
    pub(crate) fn evaluate(&self, input: &Value, time: Duration) -> Option<Value> {
        run::run(&self.parts, input, time)
    }
}

#[cfg(test)]
mod tests;
