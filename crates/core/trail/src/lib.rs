//! What people ask of the audit log: filters, cause and effect, figures, and the formats of other systems.
//!
//! Pure: records come in, answers and text go out; who reads the log and who prints is elsewhere.
#![forbid(unsafe_code)]

mod figures;
mod filter;
mod format;
mod graph;
mod harmless;
pub mod index;
#[cfg(test)]
mod testing;
mod when;
mod words;

pub use figures::{Figures, Group};
pub use filter::{Filter, KindTerm, ParseKindError, Sieve, UserTerm};
pub use format::{CSV_HEADER, cef, csv_row, ecs, ocsf};
pub use graph::{Graph, Line, Link};
pub use harmless::harmless_json;
pub use when::{ParseWhenError, Span, When};
pub use words::{actor_name, decision_name, outcome_name};
