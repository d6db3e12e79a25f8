//! Landlock: the second wall behind the mounts, and the only one that keeps signals and abstract
//! sockets apart.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use std::path::{Path, PathBuf};

use crate::commands::Commands;
use crate::error::{AtStep, Fault, Step};

/// Where agents find the programs with which they ask.
const ASKING_PROGRAMS: &str = "/run/valetkey/bin";
/// Scopes (signals, abstract sockets) came with this ABI.
const ABI_WITH_SCOPES: i32 = 6;
/// TCP rules came with this ABI.
const ABI_WITH_NETWORK: i32 = 4;

/// The Landlock version that both this kernel and this program know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    abi: ABI,
}

impl Version {
    /// Asks the kernel. Having none at all is an error: a cell is never built without.
    pub(crate) fn current() -> Result<Self, Fault> {
        let kernel = valetkey_sys::privilege::landlock_abi().at(Step::Landlock, "")?;
        if kernel < 1 {
            return Err(Fault::new(
                Step::Landlock,
                format!("kernel reports ABI {kernel}"),
            ));
        }
        Ok(Self {
            abi: ABI::from(kernel),
        })
    }

    pub(crate) fn number(self) -> i32 {
        self.abi as i32
    }

    /// Confines this process as an agent. What the mounts show may be used as they allow it, so the
    /// rule on `/` is wide; device nodes may never be made, devices may be driven (`ioctl`) only
    /// below `/dev`, no mount may be changed (Landlock forbids that by itself), and no signal or
    /// abstract socket leaves the domain.
    ///
    /// Where commands are narrowed, they and the loaders of programs alone are executed.
    pub(crate) fn confine_agent(
        self,
        commands: Option<&Commands>,
        further: &[PathBuf],
    ) -> Result<(), Fault> {
        let devices = AccessFs::MakeChar | AccessFs::MakeBlock;
        let driving = AccessFs::from_all(self.abi) & AccessFs::IoctlDev;
        let mut everywhere = AccessFs::from_all(self.abi) & !(devices | AccessFs::IoctlDev);
        let mut executed = Vec::new();
        if let Some(commands) = commands {
            everywhere &= !AccessFs::Execute;
            let places = commands
                .places
                .iter()
                .chain(&commands.loaders)
                .chain(further);
            for place in places
                .map(PathBuf::as_path)
                .chain([Path::new(ASKING_PROGRAMS)])
            {
                executed.extend(PathFd::new(place));
            }
        }
        let (root, dev) = (path("/")?, path("/dev")?);
        let build = || -> Result<RulesetCreated, RulesetError> {
            let ruleset = self.handled()?.create()?;
            let mut ruleset = ruleset.add_rule(PathBeneath::new(root, everywhere))?;
            for place in executed {
                ruleset = ruleset.add_rule(PathBeneath::new(place, AccessFs::Execute))?;
            }
            if driving.is_empty() {
                return Ok(ruleset);
            }
            ruleset.add_rule(PathBeneath::new(dev, driving))
        };
        enforce(build())
    }

    /// Takes every file system, TCP and scope right from this process.
    pub(crate) fn confine_to_nothing(self) -> Result<(), Fault> {
        let build = || -> Result<RulesetCreated, RulesetError> {
            let mut ruleset = self.handled()?;
            if self.number() >= ABI_WITH_NETWORK {
                ruleset = ruleset.handle_access(AccessNet::from_all(self.abi))?;
            }
            ruleset.create()
        };
        enforce(build())
    }

    /// Takes every file system and TCP right, but leaves signals: for pid 1 of a cell, whose children
    /// are in a domain of their own.
    pub(crate) fn confine_init(self) -> Result<(), Fault> {
        let build = || -> Result<RulesetCreated, RulesetError> {
            let mut ruleset = hard().handle_access(AccessFs::from_all(self.abi))?;
            if self.number() >= ABI_WITH_NETWORK {
                ruleset = ruleset.handle_access(AccessNet::from_all(self.abi))?;
            }
            ruleset.create()
        };
        enforce(build())
    }

    /// Leaves to this process regular files in `own`, reading in `seen`, and Unix sockets; everything else of files, TCP and scopes is taken.
    pub(crate) fn confine_service(self, own: &[&Path], seen: &[&Path]) -> Result<(), Fault> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let keep = AccessFs::from_all(self.abi)
            & (read
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSock
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
                | AccessFs::Refer);
        let open = |paths: &[&Path]| -> Result<Vec<PathFd>, Fault> {
            let opened = paths.iter().map(|path| {
                PathFd::new(path).map_err(|error| Fault::new(Step::Landlock, error.to_string()))
            });
            opened.collect()
        };
        let (own, seen) = (open(own)?, open(seen)?);
        let build = || -> Result<RulesetCreated, RulesetError> {
            let mut ruleset = self.handled()?;
            if self.number() >= ABI_WITH_NETWORK {
                ruleset = ruleset.handle_access(AccessNet::from_all(self.abi))?;
            }
            let mut created = ruleset.create()?;
            for place in own {
                created = created.add_rule(PathBeneath::new(place, keep))?;
            }
            for place in seen {
                created = created.add_rule(PathBeneath::new(place, read))?;
            }
            Ok(created)
        };
        enforce(build())
    }

    fn handled(self) -> Result<Ruleset, RulesetError> {
        let ruleset = hard().handle_access(AccessFs::from_all(self.abi))?;
        if self.number() >= ABI_WITH_SCOPES {
            return ruleset.scope(Scope::from_all(self.abi));
        }
        Ok(ruleset)
    }
}

/// Only rights that this kernel knows are asked for, so anything less than all of them is an error.
fn hard() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

fn path(path: &str) -> Result<PathFd, Fault> {
    PathFd::new(path).map_err(|error| Fault::new(Step::Landlock, error.to_string()))
}

fn enforce(ruleset: Result<RulesetCreated, RulesetError>) -> Result<(), Fault> {
    let fault = |error: RulesetError| Fault::new(Step::Landlock, error.to_string());
    let status = ruleset.map_err(fault)?.restrict_self().map_err(fault)?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(Fault::new(
            Step::Landlock,
            format!("enforced in part: {status:?}"),
        ));
    }
    Ok(())
}
