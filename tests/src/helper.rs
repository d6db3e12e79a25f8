//! The helpers in C, compiled once a test run with the linker's own compiler, which every Rust host has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The cooperative agent: calls at the agent door, holds files open, maps them, looks at its terminal.
pub fn agent_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile(include_str!("../agent/agent.c"), "agent"))
}

/// The hostile agent.
pub fn attack_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile(include_str!("../attack/attack.c"), "attack"))
}

/// The hostile peer of a door.
pub fn hostile_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile(include_str!("../hostile/hostile.c"), "hostile"))
}

/// A machine that lacks something.
pub fn lacking_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile(include_str!("../lacking/lacking.c"), "lacking"))
}

/// The agent outside of any cell.
pub fn outside_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile(include_str!("../outside/outside.c"), "outside"))
}

/// The small service manager, which passes sockets as the real one does, and speaks to a socket as any user.
pub fn activate_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile(include_str!("../activate/activate.c"), "activate"))
}

fn compile(source: &str, name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    // One name a process: two test runs at once do not write over each other.
    let dir = own.parent().expect("a directory");
    let program = dir.join(format!("vk-{name}-{}", std::process::id()));
    // The source is in this program: where it was built may be gone, or closed to this user.
    let written = program.with_extension("c");
    std::fs::write(&written, source).expect("write the source");
    let output = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-pthread", "-o"])
        .arg(&program)
        .arg(&written)
        .output()
        .expect("run cc");
    assert!(
        output.status.success(),
        "{} does not compile:\n{}",
        written.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::remove_file(&written).expect("remove the source");
    let kept = std::fs::read(&program).expect("the program");
    // The name of the process id is only for the time of compiling: nothing is left behind that grows with each run.
    let last = dir.join(format!("vk-{name}"));
    let same = std::fs::read(&last).is_ok_and(|had| had == kept);
    if same {
        std::fs::remove_file(&program).expect("remove the program");
    } else {
        std::fs::rename(&program, &last).expect("rename the program");
    }
    last
}
