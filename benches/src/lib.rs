//! What the measuring programs share: times and their middle, tables, the product in a home of its own, and its peers.

pub mod biscuit;
pub mod inputs;
pub mod machine;
pub mod measure;
pub mod opa;
pub mod peer;
pub mod product;
pub mod table;

/// What any measuring program may fail with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
