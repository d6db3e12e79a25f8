//! How much of the machine a cell may take: what is asked for, and what the kernel says that it holds.

use std::fmt;
use std::fs;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Processes and threads of a cell by default: more than builds and browsers have, far less than a machine's.
const PROCESSES: u64 = 4096;
/// Of the machine's memory, what a cell may have by default, in quarters: the rest is the person's.
const MEMORY_QUARTERS: u64 = 3;
/// Fewer processes than this are no cell.
const PROCESSES_MIN: u64 = 2;
/// Less memory than this does not start a program.
const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// The kernel takes no less.
const CPU_PERCENT_MIN: u64 = 1;
/// More processors than any machine has, in percent of one.
const CPU_PERCENT_MAX: u64 = 1_000_000;
/// The weights that every kernel's controller takes.
const WEIGHTS: std::ops::RangeInclusive<u64> = 10..=1000;

/// What one limit is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// This, where the machine can: nobody asked for it.
    Preferred(u64),
    /// This, or there is no cell.
    Required(u64),
}

/// What a cell may take of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, swap among them, with what lies in `/tmp` and the like.
    pub memory_bytes: Limit,
    /// Processes and threads at one time.
    pub processes: Limit,
    /// Processor time, in percent of one processor.
    pub cpu_percent: Limit,
    /// The share of the disks where others want them too; others have 100.
    pub io_weight: Limit,
}

/// What the kernel holds, as it says itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Bytes of memory and swap.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Percent of one processor.
    pub cpu_percent: Option<u64>,
    /// The share of the disks.
    pub io_weight: Option<u64>,
}

impl Limit {
    /// The number, if there is one.
    #[must_use]
    pub fn value(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Preferred(value) | Self::Required(value) => Some(value),
        }
    }

    /// Whether there is no cell without it.
    #[must_use]
    pub fn is_required(self) -> bool {
        matches!(self, Self::Required(_))
    }
}

impl Default for Limits {
    /// Three quarters of the machine's memory, 4096 processes; processor and disks are shared.
    fn default() -> Self {
        let memory =
            machine_memory_bytes().map(|bytes| (bytes / 4).saturating_mul(MEMORY_QUARTERS));
        Self {
            memory_bytes: memory.map_or(Limit::Unlimited, Limit::Preferred),
            processes: Limit::Preferred(PROCESSES),
            cpu_percent: Limit::Unlimited,
            io_weight: Limit::Unlimited,
        }
    }
}

/// One limit as a person writes it: `memory=2G`, `pids=4096`, `cpu=200%`, `io=50`, each with `none` in place of the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    kind: Kind,
    limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    Processes,
    Cpu,
    Io,
}

impl Limits {
    /// Puts `asked` in place of what was there.
    pub fn set(&mut self, asked: Asked) {
        match asked.kind {
            Kind::Memory => self.memory_bytes = asked.limit,
            Kind::Processes => self.processes = asked.limit,
            Kind::Cpu => self.cpu_percent = asked.limit,
            Kind::Io => self.io_weight = asked.limit,
        }
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not NAME=VALUE, as in `memory=2G`"))?;
        let (kind, least, most) = match name {
            "memory" => (Kind::Memory, MEMORY_BYTES_MIN, u64::MAX / 2),
            "pids" => (Kind::Processes, PROCESSES_MIN, 1 << 22),
            "cpu" => (Kind::Cpu, CPU_PERCENT_MIN, CPU_PERCENT_MAX),
            "io" => (Kind::Io, *WEIGHTS.start(), *WEIGHTS.end()),
            _ => return Err(format!("`{name}` is none of memory, pids, cpu, io")),
        };
        if value == "none" {
            return Ok(Self {
                kind,
                limit: Limit::Unlimited,
            });
        }
        let number = match kind {
            Kind::Memory => bytes(value),
            Kind::Cpu => value.strip_suffix('%').and_then(digits),
            Kind::Processes | Kind::Io => digits(value),
        };
        let form = match kind {
            Kind::Memory => "bytes, with K, M, G or T",
            Kind::Cpu => "percent of one processor, as in 200%",
            Kind::Processes => "a number of processes and threads",
            Kind::Io => "a weight, where others have 100",
        };
        let number = number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("`{value}` is not {form}, from {least} to {most}, or `none`"))?;
        Ok(Self {
            kind,
            limit: Limit::Required(number),
        })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.memory_bytes
                .map(|bytes| format!("memory {} MiB", bytes >> 20)),
            self.processes.map(|number| format!("processes {number}")),
            self.cpu_percent
                .map(|percent| format!("processor {percent} %")),
            self.io_weight
                .map(|weight| format!("disks weight {weight}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return f.write_str("no limits of the kernel's control groups");
        }
        write!(f, "limits on {}", parts.join(", "))
    }
}

fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

fn bytes(text: &str) -> Option<u64> {
    let powers = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let unit = powers
        .iter()
        .find_map(|(letter, power)| Some((text.strip_suffix(*letter)?, *power)));
    let (number, power) = unit.unwrap_or((text, 0));
    digits(number)?.checked_mul(1 << power)
}

fn machine_memory_bytes() -> Option<u64> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let line = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    digits(line.trim().strip_suffix(" kB")?)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Option<Limit> {
        let asked: Asked = text.parse().ok()?;
        Some(asked.limit)
    }

    #[test]
    fn limits_are_read_as_they_are_written_and_nothing_else_is() {
        assert_eq!(limit("memory=2G"), Some(Limit::Required(2 << 30)));
        assert_eq!(limit("memory=67108864"), Some(Limit::Required(64 << 20)));
        assert_eq!(limit("pids=4096"), Some(Limit::Required(4096)));
        assert_eq!(limit("cpu=200%"), Some(Limit::Required(200)));
        assert_eq!(limit("io=50"), Some(Limit::Required(50)));
        for name in ["memory", "pids", "cpu", "io"] {
            assert_eq!(limit(&format!("{name}=none")), Some(Limit::Unlimited));
        }
        for bad in [
            "memory",
            "memory=",
            "memory=-1",
            "memory=+2G",
            "memory=2g",
            "memory=1K",
            "memory=99999999999T",
            "pids=1",
            "pids=4e3",
            "cpu=200",
            "cpu=0%",
            "io=0",
            "io=1001",
            "disk=1",
            "=1",
        ] {
            assert_eq!(limit(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_limit_that_was_asked_for_takes_the_place_of_the_usual_one() {
        let mut limits = Limits::default();
        assert_eq!(limits.processes, Limit::Preferred(PROCESSES));
        limits.set("pids=100".parse().expect("a limit"));
        limits.set("memory=none".parse().expect("a limit"));
        assert!(limits.processes.is_required() && limits.processes.value() == Some(100));
        assert_eq!(limits.memory_bytes, Limit::Unlimited);
    }

    #[test]
    fn what_is_held_is_said() {
        assert!(Held::default().to_string().starts_with("no limits"));
        let held = Held {
            memory_bytes: Some(2 << 30),
            cpu_percent: Some(150),
            ..Held::default()
        };
        assert_eq!(
            held.to_string(),
            "limits on memory 2048 MiB, processor 150 %"
        );
    }
}
