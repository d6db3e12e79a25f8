//! Programs small enough to be written byte by byte: any system call with any arguments, without a
//! compiler on the machine, and without unsafe code.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "sizes of programs of a hundred bytes"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::shared;

/// A program of one system call: its exit status is the error number, or nought.
pub(crate) fn one_call(name: &str, number: u64, arguments: [u64; 6]) -> PathBuf {
    let mut code = Vec::new();
    // mov rax/rdi/rsi/rdx/r10/r8/r9, imm64
    let loads: [[u8; 2]; 7] = [
        [0x48, 0xb8],
        [0x48, 0xbf],
        [0x48, 0xbe],
        [0x48, 0xba],
        [0x49, 0xba],
        [0x49, 0xb8],
        [0x49, 0xb9],
    ];
    for (load, value) in loads.iter().zip([number].iter().chain(&arguments)) {
        code.extend(load);
        code.extend(value.to_le_bytes());
    }
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x85, 0xc0, 0x79, 0x04]); // test eax, eax; jns over the next two
    code.extend([0xf7, 0xd8, 0x89, 0xc7]); // neg eax; mov edi, eax
    code.extend([0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05]); // exit_group(edi)
    write_program(name, &elf(&code, Class::Bits64))
}

/// A 32-bit program that ends with status 42, if it can.
pub(crate) fn foreign_program() -> PathBuf {
    // mov eax, 1 (exit); mov ebx, 42; int 0x80
    let code = [0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80];
    write_program("foreign", &elf(&code, Class::Bits32))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bits32,
    Bits64,
}

/// The smallest executable file around some code: one header, one segment.
fn elf(code: &[u8], class: Class) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let wide = class == Class::Bits64;
    let (header, segment): (u16, u16) = if wide { (64, 56) } else { (52, 32) };
    let entry = BASE + u64::from(header) + u64::from(segment);
    let size = u64::from(header) + u64::from(segment) + u64::try_from(code.len()).expect("size");
    let address = |value: u64| {
        let bytes = value.to_le_bytes();
        bytes[..if wide { 8 } else { 4 }].to_vec()
    };
    let half = |value: u16| value.to_le_bytes().to_vec();
    let word = |value: u32| value.to_le_bytes().to_vec();
    let mut out = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1, 0];
    out.resize(16, 0);
    let machine = if wide { 62 } else { 3 };
    out.extend([half(2), half(machine), word(1), address(entry)].concat());
    out.extend(
        [
            address(u64::from(header)),
            address(0),
            word(0),
            half(header),
        ]
        .concat(),
    );
    out.extend([half(segment), half(1), half(0), half(0), half(0)].concat());
    let (load, flags) = (word(1), word(5));
    if wide {
        out.extend([load, flags, address(0), address(BASE), address(BASE)].concat());
        out.extend([address(size), address(size), address(0x1000)].concat());
    } else {
        out.extend([load, address(0), address(BASE), address(BASE)].concat());
        out.extend([address(size), address(size), flags, address(0x1000)].concat());
    }
    out.extend(code);
    out
}

fn write_program(name: &str, bytes: &[u8]) -> PathBuf {
    let path = shared().join(name);
    std::fs::write(&path, bytes).expect("write");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
    path
}
