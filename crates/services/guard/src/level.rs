//! Which level of enforcement a session reaches here, what it lacks of the next ones, and refusing to start below a level.

use valetkey_api::{Enforcement, Mode};
use valetkey_model::Level;
use valetkey_sandbox::{Cell, CellSpec, Commands, Foresight, HostUser, Shortfall, seccomp};

use crate::error::RunError;

/// A level with what is missing of those above it.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The level.
    pub level: Level,
    /// What a cell is held to of the machine, in words.
    pub limits: String,
    /// What the next levels want and this session lacks: the level that wants it, and what it is.
    pub missing: Vec<(Level, Shortfall)>,
}

/// The level that a session reaches here, found by building a cell that is thrown away. The process must have one thread.
///
/// # Errors
/// When no cell can be built: the reason, and what to do.
pub fn reached(mode: Mode) -> Result<Reached, RunError> {
    let launching = Cell::launch(&CellSpec::new(vec!["true".into()]))?;
    Ok(Reached::new(&launching.foresight, mode))
}

impl Reached {
    /// The level of a session whose cell enforces this, under a broker of this kind.
    #[must_use]
    pub fn new(foresight: &Foresight, mode: Mode) -> Self {
        let cell = foresight.shortfalls();
        let mut missing: Vec<_> = cell
            .into_iter()
            .map(|lacks| (Level::Standard, lacks))
            .collect();
        missing.extend(foresight.lacks_limits().map(|lacks| (Level::Strict, lacks)));
        if mode == Mode::User {
            let lacks = Shortfall {
                what: "a broker of a user of its own: this one runs as you, and so what runs as you outside a cell has its keys and its log within reach".to_owned(),
                next_step: "install the system broker (docs/running.md), and join its group",
            };
            missing.push((Level::Strict, lacks));
        }
        let lacked = missing.iter().map(|(level, _)| *level).min();
        let level = match lacked {
            None => Level::Strict,
            Some(Level::Strict) => Level::Standard,
            Some(Level::Standard | Level::Basic) => Level::Basic,
        };
        let limits = foresight.limits.to_string();
        Self {
            level,
            limits,
            missing,
        }
    }

    /// Whether it is at least `wanted`.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub(crate) fn suffices(&self, wanted: Option<Level>) -> Result<(), RunError> {
        let Some(wanted) = wanted.filter(|wanted| *wanted > self.level) else {
            return Ok(());
        };
        let missing = self.missing.iter();
        Err(RunError::Below {
            wanted,
            reached: self.level,
            missing: missing
                .filter(|(level, _)| *level <= wanted)
                .map(|(_, lacks)| lacks.clone())
                .collect(),
        })
    }

    /// The same for the broker and its log.
    pub(crate) fn told(&self, foresight: &Foresight, commands: Option<&Commands>) -> Enforcement {
        let with = |there: bool, what: &str| {
            if there {
                what.to_owned()
            } else {
                format!("no {what}")
            }
        };
        Enforcement {
            level: self.level,
            posture: [
                format!("kernel {}", foresight.kernel),
                format!("landlock {}", foresight.landlock_abi),
                format!(
                    "seccomp {} with {} calls",
                    seccomp::AGENT.name,
                    seccomp::AGENT.allowed_count()
                ),
                with(foresight.namespaces_frozen, "limits on namespaces"),
                with(foresight.own_keyring, "keyring of its own"),
                match foresight.host_user {
                    HostUser::Person => "the person's user",
                    HostUser::Throwaway => "a user of its own",
                    HostUser::Superuser => "root's user",
                }
                .to_owned(),
                foresight.limits.to_string(),
                commands.map_or_else(
                    || "all commands of the system".to_owned(),
                    Commands::to_string,
                ),
            ]
            .join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use valetkey_sandbox::HeldLimits;

    use super::*;

    fn foresight(landlock_abi: i32) -> Foresight {
        Foresight {
            kernel: "6.12".to_owned(),
            landlock_abi,
            namespaces_frozen: true,
            own_keyring: true,
            host_user: HostUser::Person,
            limits: HeldLimits {
                memory_bytes: Some(1 << 30),
                processes: Some(100),
                ..HeldLimits::default()
            },
        }
    }

    #[test]
    fn a_level_is_reached_with_all_that_it_and_those_below_want() {
        let level = |abi, mode| Reached::new(&foresight(abi), mode).level;
        assert_eq!(level(6, Mode::System), Level::Strict);
        assert_eq!(level(6, Mode::User), Level::Standard);
        assert_eq!(level(5, Mode::User), Level::Basic);
        // A system broker makes no strict session of a weak cell.
        assert_eq!(level(5, Mode::System), Level::Basic);
        let keyless = Foresight {
            own_keyring: false,
            ..foresight(7)
        };
        assert_eq!(Reached::new(&keyless, Mode::System).level, Level::Basic);
        let root = Foresight {
            host_user: HostUser::Superuser,
            ..foresight(7)
        };
        assert_eq!(Reached::new(&root, Mode::System).level, Level::Basic);
        let unlimited = Foresight {
            limits: HeldLimits::default(),
            ..foresight(7)
        };
        let reached = Reached::new(&unlimited, Mode::System);
        assert_eq!(reached.level, Level::Standard);
        assert!(reached.told(&unlimited, None).posture.contains("no limits"));
    }

    #[test]
    fn what_is_required_and_missing_is_refused_with_each_reason() {
        let weak = Reached::new(&foresight(3), Mode::User);
        for enough in [None, Some(Level::Basic)] {
            assert!(weak.suffices(enough).is_ok());
        }
        for (wanted, reasons) in [(Level::Standard, 1), (Level::Strict, 2)] {
            let Err(RunError::Below { missing, .. }) = weak.suffices(Some(wanted)) else {
                panic!("{wanted} was taken for reached");
            };
            assert_eq!(missing.len(), reasons);
        }
        let told = weak.told(&foresight(3), None);
        assert_eq!(told.level, Level::Basic);
        assert!(told.posture.contains("landlock 3"));
    }
}
