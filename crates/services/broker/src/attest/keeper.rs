//! The processes that look: a keeper that was forked before the broker gave up its rights, and the attestors that it starts.
//!
//! A confined broker may neither look at other processes nor start one that may. So the keeper is there from the beginning, and does
//! nothing but keep a few attestors running, which share one socket: each question reaches one of them. An attestor that a file system
//! holds up delays only itself, and ends by its own alarm; one that is killed is replaced.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getppid, waitpid};
use rustix::thread::UnshareFlags;
use valetkey_sandbox::{confine_attestor, confine_attestor_keeper};
use valetkey_sys::fork::{Inherit, fork};
use valetkey_sys::{pass, signals};

use super::look::{Found, look};
use super::wire::{Answer, MESSAGE_BYTES_MAX, Question, Seen};

/// Attestors at once: as many file systems can hang before nobody is looked at any more.
const ATTESTORS: usize = 4;
/// How long one look may take before it is ended.
pub(super) const LOOK_SECONDS: u32 = 8;
/// Between the end of an attestor and the start of the next, so that one that cannot live does not keep the machine busy.
const PAUSE: Duration = Duration::from_millis(50);

/// Exit status of a process that could not confine itself.
const EXIT_NOT_CONFINED: u8 = 2;
/// Exit status of an attestor whose broker is gone.
const EXIT_ALONE: u8 = 3;
/// Exit status of an attestor that was not understood or understands nothing.
const EXIT_BROKEN: u8 = 4;

/// The keeper's life, which ends with the broker's: the broker's end of the socket closes, an attestor hears that and says so by its exit
/// status.
pub(super) fn keep(handed_over: Vec<OwnedFd>, broker: Pid) -> u8 {
    let Some(socket) = handed_over.into_iter().next() else {
        return EXIT_BROKEN;
    };
    rustix::thread::set_name(c"vk-keeper").unwrap_or_default();
    if confine_attestor_keeper().is_err() {
        return EXIT_NOT_CONFINED;
    }
    let mut running: usize = 0;
    loop {
        while running < ATTESTORS {
            let Ok(copy) = socket.try_clone() else { break };
            let started = fork(
                UnshareFlags::empty(),
                Inherit::HandedOver,
                vec![copy],
                attest,
            );
            match started {
                Ok(_child) => running = running.saturating_add(1),
                Err(_) => break,
            }
        }
        match waitpid(None, WaitOptions::empty()) {
            Ok(Some((_, status))) if status.exit_status() == Some(i32::from(EXIT_ALONE)) => {
                return 0;
            }
            // The attestors were all held up when it ended.
            _ if getppid() != Some(broker) => return 0,
            Ok(Some(_)) => running = running.saturating_sub(1),
            Ok(None) | Err(_) => running = 0,
        }
        std::thread::sleep(PAUSE);
    }
}

/// An attestor's life: one question at a time, each under the alarm.
fn attest(handed_over: Vec<OwnedFd>) -> u8 {
    let Some(socket) = handed_over.into_iter().next() else {
        return EXIT_BROKEN;
    };
    rustix::thread::set_name(c"vk-attestor").unwrap_or_default();
    if confine_attestor().is_err() {
        return EXIT_NOT_CONFINED;
    }
    loop {
        let Ok((bytes, descriptors)) = pass::receive(socket.as_fd(), MESSAGE_BYTES_MAX) else {
            return EXIT_BROKEN;
        };
        if bytes.is_empty() {
            return EXIT_ALONE;
        }
        signals::end_after(LOOK_SECONDS);
        let Ok(question) = serde_json::from_slice::<Question>(&bytes) else {
            return EXIT_BROKEN;
        };
        let (seen, named) = match descriptors.first() {
            None => (
                Seen::Nothing("the kernel does not name it".to_owned()),
                None,
            ),
            Some(pidfd) => match look(pidfd.as_fd(), question.known) {
                Ok(Found::Same) => (Seen::Same, None),
                Ok(Found::Program(program, named)) => (Seen::Program(program), Some(named)),
                Err(why) => (Seen::Nothing(why), None),
            },
        };
        let answer = Answer {
            id: question.id,
            seen,
        };
        let Ok(text) = serde_json::to_vec(&answer) else {
            return EXIT_BROKEN;
        };
        let beside: Vec<_> = named.iter().map(OwnedFd::as_fd).collect();
        if pass::send(socket.as_fd(), &text, &beside).is_err() {
            return EXIT_BROKEN;
        }
        signals::end_after(0);
    }
}
