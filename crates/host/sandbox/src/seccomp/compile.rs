//! From a table to BPF: one program, in which the call's number is found by halving.
//!
//! A filter that tests one number after the other is thousands of instructions long, and the kernel
//! runs it for each of its own calls when it is installed; that alone took longer than all the rest of
//! starting a program in a cell. Halving over ranges takes a tenth of the instructions.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, sock_filter};

use super::{Argument, Otherwise, Profile, Test};
use crate::error::{Fault, Step};

/// The audit name of this machine's own architecture.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
/// The audit name of this machine's own architecture.
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the tables of system calls know x86_64 and aarch64");
/// Where arguments are read, their low half comes first.
const _: () = assert!(cfg!(target_endian = "little"));

// `linux/bpf_common.h`.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;
// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
const ARGUMENT_BYTES: u32 = 8;
/// The longest program that the kernel takes.
const INSTRUCTIONS_MAX: usize = 4096;

/// What happens to a call with one number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Verdict {
    /// Errors with the cases in which they are the answer, in order.
    refusals: Vec<(Vec<Check>, u32)>,
    /// The answer in any other case.
    answer: u32,
}

/// A test of the low half of an argument, under a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Check {
    offset: u32,
    mask: u32,
    value: u32,
    equal: bool,
}

/// Calls from `first` on, up to the next span, have this verdict.
#[derive(Debug)]
struct Span {
    first: u32,
    verdict: Verdict,
}

/// Compiles a profile.
pub(super) fn program(profile: &Profile) -> Result<BpfProgram, Fault> {
    let spans = spans(profile)?;
    let mut program = vec![
        instruction(LOAD, ARCHITECTURE),
        jump(JUMP_IF_EQUAL, NATIVE, 1, 0),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, NUMBER),
    ];
    program.extend(search(&spans)?);
    if program.len() > INSTRUCTIONS_MAX {
        return Err(fault("the filter is too long"));
    }
    Ok(program)
}

/// The whole range of numbers, cut where the verdict changes.
fn spans(profile: &Profile) -> Result<Vec<Span>, Fault> {
    let otherwise = match profile.otherwise {
        Otherwise::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        Otherwise::Errno(errno) => answer_errno(errno)?,
    };
    let unnamed = Verdict {
        refusals: Vec::new(),
        answer: otherwise,
    };
    let mut verdicts: BTreeMap<u32, Verdict> = BTreeMap::new();
    for call in profile.allowed.iter().flat_map(|group| group.calls) {
        let verdict = Verdict {
            refusals: Vec::new(),
            answer: libc::SECCOMP_RET_ALLOW,
        };
        verdicts.insert(number(call.number())?, verdict);
    }
    for refusal in profile.refused {
        let errno = answer_errno(refusal.errno)?;
        for call in refusal.calls {
            let number = number(call.number())?;
            let verdict = verdicts.entry(number).or_insert_with(|| unnamed.clone());
            if refusal.when.is_empty() {
                *verdict = Verdict {
                    refusals: Vec::new(),
                    answer: errno,
                };
            }
            for case in refusal.when {
                let checks = case.iter().map(Argument::check).collect::<Result<_, _>>()?;
                verdict.refusals.push((checks, errno));
            }
        }
    }
    let mut spans = vec![Span {
        first: 0,
        verdict: unnamed.clone(),
    }];
    for (number, verdict) in verdicts {
        begin(&mut spans, number, verdict);
        begin(&mut spans, number.saturating_add(1), unnamed.clone());
    }
    Ok(spans)
}

/// Begins a span, unless the one before it says the same; one that would be empty is replaced.
fn begin(spans: &mut Vec<Span>, first: u32, verdict: Verdict) {
    if spans.last().is_some_and(|last| last.first == first) {
        spans.pop();
    }
    if spans.last().is_none_or(|last| last.verdict != verdict) {
        spans.push(Span { first, verdict });
    }
}

/// Code that finds the number in the accumulator among `spans`, and answers. No path leaves it.
fn search(spans: &[Span]) -> Result<BpfProgram, Fault> {
    if let [span] = spans {
        return answer(&span.verdict);
    }
    let (low, high) = spans.split_at(spans.len() / 2);
    let pivot = high.first().ok_or_else(|| fault("no span"))?.first;
    let (low, high) = (search(low)?, search(high)?);
    let mut code = match u8::try_from(low.len()) {
        Ok(distance) => vec![jump(JUMP_IF_GREATER_OR_EQUAL, pivot, distance, 0)],
        Err(_) => {
            let distance = u32::try_from(low.len()).map_err(|_| fault("a jump is too far"))?;
            vec![
                jump(JUMP_IF_GREATER_OR_EQUAL, pivot, 0, 1),
                instruction(JUMP, distance),
            ]
        }
    };
    code.extend(low);
    code.extend(high);
    Ok(code)
}

/// Code that answers a call: case after case, each jumping to the next as soon as a check fails.
fn answer(verdict: &Verdict) -> Result<BpfProgram, Fault> {
    let mut code = Vec::new();
    for (checks, errno) in &verdict.refusals {
        let mut remaining = checks.len();
        for check in checks {
            remaining = remaining.saturating_sub(1);
            // The checks after this one, three instructions each, and the answer.
            let over = remaining.saturating_mul(3).saturating_add(1);
            let over = u8::try_from(over).map_err(|_| fault("a case is too long"))?;
            let (if_equal, if_not) = if check.equal { (0, over) } else { (over, 0) };
            code.push(instruction(LOAD, check.offset));
            code.push(instruction(AND, check.mask));
            code.push(jump(JUMP_IF_EQUAL, check.value, if_equal, if_not));
        }
        code.push(instruction(RETURN, *errno));
    }
    code.push(instruction(RETURN, verdict.answer));
    Ok(code)
}

impl Argument {
    fn check(&self) -> Result<Check, Fault> {
        if self.index > 5 {
            return Err(fault("a call has six arguments"));
        }
        let (mask, value, equal) = match self.test {
            Test::Is(value) => (u32::MAX, value, true),
            Test::IsNot(value) => (u32::MAX, value, false),
            Test::Masked { mask, value } => (mask, value, true),
        };
        let offset = ARGUMENTS.saturating_add(ARGUMENT_BYTES.saturating_mul(self.index.into()));
        Ok(Check {
            offset,
            mask,
            value,
            equal,
        })
    }
}

fn answer_errno(errno: i32) -> Result<u32, Fault> {
    let errno = u16::try_from(errno).map_err(|_| fault("not an error number"))?;
    Ok(libc::SECCOMP_RET_ERRNO | u32::from(errno))
}

fn number(number: i64) -> Result<u32, Fault> {
    u32::try_from(number).map_err(|_| fault("not a system call's number"))
}

fn instruction(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn fault(detail: &str) -> Fault {
    Fault::new(Step::Seccomp, detail)
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "an interpreter that overflows fails its test"
)]
mod tests {
    use super::super::{AGENT, INIT, WORKER};
    use super::*;

    /// What the kernel does with a program: the part of BPF that is used here.
    fn run(program: &BpfProgram, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let load = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => architecture,
            offset => {
                let word = (offset - ARGUMENTS) / 4;
                let argument = arguments[usize::try_from(word / 2).expect("index")];
                u32::try_from((argument >> (32 * (word % 2))) & 0xffff_ffff).expect("half")
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let one = &program[at];
            at += 1;
            match one.code {
                LOAD => accumulator = load(one.k),
                AND => accumulator &= one.k,
                JUMP => at += usize::try_from(one.k).expect("distance"),
                JUMP_IF_EQUAL => {
                    at += usize::from(if accumulator == one.k { one.jt } else { one.jf })
                }
                JUMP_IF_GREATER_OR_EQUAL => {
                    at += usize::from(if accumulator >= one.k { one.jt } else { one.jf });
                }
                RETURN => return one.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    /// The same answer, read off the table.
    fn expected(profile: &Profile, number: u32, arguments: [u64; 6]) -> u32 {
        let is = |calls: &[super::super::Call]| {
            calls.iter().any(|call| call.number() == i64::from(number))
        };
        let holds = |argument: &Argument| {
            let low = arguments[usize::from(argument.index)] & 0xffff_ffff;
            match argument.test {
                Test::Is(value) => low == u64::from(value),
                Test::IsNot(value) => low != u64::from(value),
                Test::Masked { mask, value } => low & u64::from(mask) == u64::from(value),
            }
        };
        for refusal in profile.refused.iter().filter(|refusal| is(refusal.calls)) {
            let case = |case: &&[Argument]| case.iter().all(holds);
            if refusal.when.is_empty() || refusal.when.iter().any(case) {
                return answer_errno(refusal.errno).expect("errno");
            }
        }
        if profile.allowed.iter().any(|group| is(group.calls)) {
            return libc::SECCOMP_RET_ALLOW;
        }
        match profile.otherwise {
            Otherwise::Kill => libc::SECCOMP_RET_KILL_PROCESS,
            Otherwise::Errno(errno) => answer_errno(errno).expect("errno"),
        }
    }

    #[test]
    fn the_program_answers_as_the_table_does() {
        let interesting = [
            0,
            1,
            2,
            3,
            4,
            5,
            8,
            10,
            16,
            17,
            35,
            38,
            0x5412,
            0x541c,
            0x5423,
            0x8_0003,
            0x2_0000,
            0x2_0008,
            0x4_0000,
            0x80,
            0x1000_0000,
            0x1000_0011,
            0x2_0011,
            0xffff_ffff,
            0xdead_0000_0000_5412,
            0x1_0000_0000_0000_0001,
        ]
        .map(|value: u128| u64::try_from(value & u128::from(u64::MAX)).expect("64 bits"));
        for profile in [&AGENT, &INIT, &WORKER] {
            let program = program(profile).expect(profile.name);
            for number in (0..700).chain([0x3fff_ffff, 0x4000_0000, 0x4000_0027, u32::MAX]) {
                for first in interesting {
                    for other in interesting {
                        let arguments = [first, other, other, first, 0, 0];
                        assert_eq!(
                            run(&program, NATIVE, number, arguments),
                            expected(profile, number, arguments),
                            "{} {number} {arguments:x?}",
                            profile.name
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_foreign_architecture_is_killed_whatever_it_calls() {
        for profile in [&AGENT, &INIT, &WORKER] {
            let program = program(profile).expect(profile.name);
            for foreign in [0x4000_0003, 0x4000_0028, NATIVE ^ 1, 0] {
                for number in [0, 1, 60, 231] {
                    let answer = run(&program, foreign, number, [0; 6]);
                    assert_eq!(answer, libc::SECCOMP_RET_KILL_PROCESS);
                }
            }
        }
    }

    #[test]
    fn programs_stay_short() {
        for profile in [&AGENT, &INIT, &WORKER] {
            let length = program(profile).expect(profile.name).len();
            assert!(length < 400, "{} takes {length} instructions", profile.name);
        }
    }
}
