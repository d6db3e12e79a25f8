//! Tests of the whole operation on real and on hostile workbooks.

mod append;
mod hostile;
mod hostile_zip;
mod limits;
mod macros;
mod roundtrip;
mod support;
mod values;
