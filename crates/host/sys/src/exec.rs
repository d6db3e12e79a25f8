//! Replacing this process by a program.

use std::ffi::{CStr, CString};
use std::io;
use std::ptr;

/// Executes `path` with exactly `arguments` and `environment`. Returns only to say why it failed.
#[must_use]
pub fn execve(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let argument_pointers = pointers(arguments);
    let environment_pointers = pointers(environment);
    // SAFETY: both arrays end with a null pointer, and every other pointer in them is to a C string
    // that outlives the call. On success nothing of this process is left to be unsound.
    unsafe {
        libc::execve(
            path.as_ptr(),
            argument_pointers.as_ptr(),
            environment_pointers.as_ptr(),
        )
    };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([ptr::null()])
        .collect()
}
