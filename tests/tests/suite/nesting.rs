//! Programs that build a sandbox of their own: what needs namespaces is refused legibly, what takes rights away works.

use valetkey_tests::{Home, host_program, skipped};

use super::needs_cells;

#[test]
fn a_sandbox_of_namespaces_is_refused_and_says_so() {
    needs_cells!();
    let Some(bwrap) = host_program("bwrap") else {
        skipped("nesting", "there is no bwrap here");
        return;
    };
    let home = Home::new();
    let script = format!(
        "{} --ro-bind / / true && echo built; unshare -Ur true && echo built; grep -c -- --no-sandbox /run/valetkey/README.md",
        bwrap.display()
    );
    let ended = home.in_workspace(&script).done().ok();
    let text = ended.text().replace('\r', "");
    assert!(
        !text.contains("built") && text.trim().parse::<u32>().is_ok_and(|lines| lines > 0),
        "{text} {}",
        ended.errors()
    );
    assert!(
        ended.errors().contains("Operation not permitted"),
        "{}",
        ended.errors()
    );
}

/// Landlock (no file may be written) and a filter of its own (nobody's parent is told), as agents put around the commands that they run.
const TAKES_RIGHTS_AWAY: &str = r"
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
open('/tmp/before', 'w').close()
assert libc.prctl(38, 1, 0, 0, 0) == 0
rules = ctypes.create_string_buffer(struct.pack('<Q', 1 << 1), 8)
fd = libc.syscall(444, rules, 8, 0)
assert fd >= 0 and libc.syscall(446, fd, 0) == 0
try: open('/tmp/after', 'w'); print('written')
except PermissionError: print('landlock')
number = {'x86_64': 110, 'aarch64': 173}[os.uname().machine]
steps = struct.pack('<HBBI', 0x20, 0, 0, 0) + struct.pack('<HBBI', 0x15, 0, 1, number) + struct.pack('<HBBI', 6, 0, 0, 0x50000 | 42) + struct.pack('<HBBI', 6, 0, 0, 0x7fff0000)
program = ctypes.create_string_buffer(steps, len(steps))
class Fprog(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
assert libc.prctl(22, 2, ctypes.byref(Fprog(4, ctypes.addressof(program))), 0, 0) == 0
assert libc.syscall(number) == -1
print('seccomp', ctypes.get_errno())
";

#[test]
fn a_sandbox_that_takes_rights_away_works_in_a_cell() {
    needs_cells!();
    if host_program("python3").is_none() {
        skipped("nesting", "there is no python3 here");
        return;
    }
    let home = Home::new();
    home.write("work/rights.py", TAKES_RIGHTS_AWAY);
    let work = home.path("work");
    let options = ["--workspace".as_ref(), work.as_os_str()];
    let ended = home
        .run(&options, &["python3", "rights.py"])
        .cwd(&work)
        .done()
        .ok();
    assert_eq!(
        ended.text().replace('\r', ""),
        "landlock\nseccomp 42\n",
        "{}",
        ended.errors()
    );
}
