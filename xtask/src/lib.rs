//! The chores as a library, so that the tests of this crate run the same checks as the command.
#![forbid(unsafe_code)]

pub mod cargo;
pub mod check;
pub mod schemas;
pub mod tree;
