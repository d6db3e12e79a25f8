//! The view on real mounts, served in this process; the tests work on the mount as any program does.
//!
//! Needs root and `/dev/fuse`. Without them every test says so and passes, so that the count of
//! tests is the same everywhere.
#![forbid(unsafe_code)]

#[cfg(test)]
mod caching;
#[cfg(test)]
mod content;
#[cfg(test)]
mod deciding;
#[cfg(test)]
mod directories;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod host_changes;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod links;
#[cfg(test)]
mod mask_writes;
mod masks;
#[cfg(test)]
mod names;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod races;
#[cfg(test)]
mod twins;
#[cfg(test)]
mod uses;
