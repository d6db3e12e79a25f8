//! The cell and the worker on the real kernel: what they allow, and what they refuse.

#[cfg(target_arch = "x86_64")]
#[cfg(test)]
mod calls;
#[cfg(test)]
mod cell;
#[cfg(test)]
mod limits;
#[cfg(target_arch = "x86_64")]
#[cfg(test)]
mod machine_code;
#[cfg(test)]
mod narrowed;
#[cfg(test)]
mod service;
#[cfg(test)]
mod support;
mod worker;
