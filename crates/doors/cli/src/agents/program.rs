//! Where an agent's program lies, and what it needs of the host to run: its package, its interpreter.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::fail::{Fail, Status};

/// The most of a script's first line that the kernel reads.
const FIRST_LINE: u64 = 256;
/// The directory in which npm keeps packages.
const NODE_MODULES: &str = "node_modules";

/// A program on the host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// What is executed, by its real path.
    pub(crate) path: PathBuf,
    /// What it is called, before any link was followed.
    pub(crate) name: String,
    /// Trees outside of the system directories that it runs from.
    pub(crate) trees: Vec<PathBuf>,
    /// Directories in which it finds its interpreter.
    pub(crate) search: Vec<PathBuf>,
}

/// Finds a command as the person's shell would, and what it runs from. `packages` are the npm packages that it is made of.
pub(crate) fn find(command: &OsStr, packages: &[String]) -> Result<Program, Fail> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = on_path(command, &path).ok_or_else(|| {
        let message = format!("there is no command `{}`", command.display());
        Fail::new(Status::Usage, message).with_status(127)
    })?;
    let cannot = |error: std::io::Error| {
        Fail::new(
            Status::Failed,
            format!("cannot use {}: {error}", found.display()),
        )
    };
    let real = std::fs::canonicalize(&found).map_err(cannot)?;
    let name = found
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut program = Program {
        trees: packages_of(&real, packages),
        path: real,
        name,
        search: Vec::new(),
    };
    if let Some(interpreter) = interpreter(&program.path, &path) {
        bring_interpreter(&mut program, &interpreter);
    }
    program
        .trees
        .retain(|tree| !valetkey_guard::is_in_every_cell(tree));
    program
        .search
        .retain(|dir| !valetkey_guard::is_in_every_cell(dir));
    program.trees.sort();
    program.trees.dedup();
    Ok(program)
}

fn on_path(command: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let is_executable = |path: &Path| {
        std::fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let cwd = std::env::current_dir().ok()?;
    let named = Path::new(command);
    if named.components().count() > 1 {
        return Some(cwd.join(named)).filter(|path| is_executable(path));
    }
    std::env::split_paths(path)
        .map(|dir| cwd.join(dir).join(named))
        .find(|path| is_executable(path))
}

/// The npm packages that a program lies in: those that are named, beside its own, or all beside it.
fn packages_of(real: &Path, packages: &[String]) -> Vec<PathBuf> {
    let parts: Vec<_> = real.components().collect();
    let is_modules = |part: &Component<'_>| part.as_os_str() == NODE_MODULES;
    // The first one: packages below a package are its own.
    let Some(at) = parts.iter().position(is_modules) else {
        return Vec::new();
    };
    let modules: PathBuf = parts.iter().take(at.saturating_add(1)).collect();
    let own = parts.iter().skip(at.saturating_add(1));
    let is_scoped = own
        .clone()
        .next()
        .is_some_and(|part| part.as_os_str().as_bytes().starts_with(b"@"));
    let own: PathBuf = own.take(if is_scoped { 2 } else { 1 }).collect();
    if packages.is_empty() {
        return vec![modules];
    }
    let named = packages.iter().map(PathBuf::from).chain([own]);
    let mut trees: Vec<_> = named
        .filter(|package| {
            package
                .components()
                .all(|part| matches!(part, Component::Normal(_)))
        })
        .filter_map(|package| std::fs::canonicalize(modules.join(package)).ok())
        .collect();
    trees.sort();
    trees.dedup();
    trees
}

/// What a script's first line names, as it is found on the path.
fn interpreter(script: &Path, path: &OsStr) -> Option<PathBuf> {
    let mut first = Vec::new();
    std::fs::File::open(script)
        .ok()?
        .take(FIRST_LINE)
        .read_to_end(&mut first)
        .ok()?;
    let line = first
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    let program = Path::new(OsStr::from_bytes(words.next()?));
    if program.file_name()? != "env" {
        return Some(program.to_path_buf());
    }
    let named = words.find(|word| *word != b"-S")?;
    on_path(OsStr::from_bytes(named), path)
}

/// Adds what an interpreter runs from: its directory, and for Python its libraries, in a virtual environment and below it.
fn bring_interpreter(program: &mut Program, interpreter: &Path) {
    let Ok(real) = std::fs::canonicalize(interpreter) else {
        return;
    };
    let (Some(place), Some(real_place)) = (interpreter.parent(), real.parent()) else {
        return;
    };
    program.search.push(real_place.to_path_buf());
    let is_python = real
        .file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"python"));
    if !is_python {
        program.trees.push(real_place.to_path_buf());
        return;
    }
    // `PREFIX/bin/python3`: its libraries are in `PREFIX/lib`.
    program
        .trees
        .extend(real_place.parent().map(Path::to_path_buf));
    let environment = place
        .parent()
        .filter(|above| above.join("pyvenv.cfg").is_file());
    if let Some(environment) = environment.and_then(|above| std::fs::canonicalize(above).ok()) {
        program.search.insert(0, environment.join("bin"));
        program.trees.push(environment);
    }
}

/// The command with its program by its real path, as it is executed in the cell.
pub(crate) fn real_command(program: &Program, command: Vec<OsString>) -> Vec<OsString> {
    let arguments = command.into_iter().skip(1);
    std::iter::once(program.path.clone().into_os_string())
        .chain(arguments)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_shim_of_npm_leads_to_its_packages_and_to_its_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        let modules = root.join("lib/node_modules");
        put(
            &modules.join("@x/agent/bin/agent.js"),
            "#!/usr/bin/env -S some-node --flag\n",
        );
        put(&modules.join("@x/agent-linux/agent"), "binary");
        put(&modules.join("other/index.js"), "");
        put(&root.join("node/bin/some-node"), "binary");
        std::os::unix::fs::symlink(modules.join("@x/agent/bin/agent.js"), root.join("agent"))
            .unwrap();
        let packages = [
            "@x/agent-linux".to_owned(),
            "@x/absent".to_owned(),
            "../..".to_owned(),
        ];
        let path = std::env::join_paths([root.join("node/bin")]).unwrap();
        let real = modules.join("@x/agent/bin/agent.js");
        assert_eq!(
            packages_of(&real, &packages),
            [modules.join("@x/agent"), modules.join("@x/agent-linux")]
        );
        assert_eq!(packages_of(&real, &[]), [modules]);
        let found = interpreter(&real, &path).unwrap();
        assert_eq!(found, root.join("node/bin/some-node"));
        let program = find(root.join("agent").as_os_str(), &packages).unwrap();
        assert_eq!((program.path, program.name.as_str()), (real, "agent"));
    }

    #[test]
    fn a_virtual_environment_comes_with_the_python_that_it_is_made_from() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        put(&root.join("base/bin/python3.99"), "binary");
        put(&root.join("venv/pyvenv.cfg"), "home = …");
        std::fs::create_dir_all(root.join("venv/bin")).unwrap();
        std::os::unix::fs::symlink(
            root.join("base/bin/python3.99"),
            root.join("venv/bin/python3"),
        )
        .unwrap();
        let python = root.join("venv/bin/python3");
        put(
            &root.join("venv/bin/agent"),
            &format!("#!{}\n", python.display()),
        );
        let program = find(root.join("venv/bin/agent").as_os_str(), &[]).unwrap();
        assert_eq!(program.trees, [root.join("base"), root.join("venv")]);
        assert_eq!(
            program.search,
            [root.join("venv/bin"), root.join("base/bin")]
        );
    }
}
