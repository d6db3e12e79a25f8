//! A terminal as a person has one: a shell or a program at the far end, keys typed and text read at this one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// A terminal with a program at it.
#[derive(Debug)]
pub struct Pty {
    master: File,
    slave: OwnedFd,
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
    /// How much of what was seen has been looked at.
    looked: usize,
}

impl Pty {
    /// Starts a command as the leader of a session with a new terminal of 31 rows and 97 columns.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("open a terminal");
        grantpt(&master).expect("grant");
        unlockpt(&master).expect("unlock");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("the terminal's far end");
        tcsetwinsize(&slave, size(31, 97)).expect("size");
        let end = || Stdio::from(slave.try_clone().expect("duplicate"));
        // `setsid --ctty` makes the terminal the controlling one, which needs a call between fork and exec.
        let mut leader = Command::new("setsid");
        leader
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .stdin(end())
            .stdout(end())
            .stderr(end());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                leader.env(name, value);
            }
        }
        if let Some(dir) = command.get_current_dir() {
            leader.current_dir(dir);
        }
        let child = leader.spawn().expect("start at a terminal");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let mut reader = File::from(master.try_clone().expect("duplicate"));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read) = reader.read(&mut chunk) {
                if read == 0 {
                    break;
                }
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&chunk[..read]);
            }
        });
        Self {
            master: master.into(),
            slave,
            child,
            seen,
            looked: 0,
        }
    }

    /// Types.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("type");
    }

    /// Everything that was shown.
    #[must_use]
    pub fn screen(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// What a person sees now, a line a row: the program draws on a screen of 31 rows and 97 columns, or the last size that was set.
    #[must_use]
    pub fn picture(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        picture(&String::from_utf8_lossy(&seen))
    }

    /// Waits until `text` is in the picture, and gives the picture.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub fn wait_to_see(&self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let picture = self.picture();
            if picture.contains(text) {
                return picture;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the terminal does not show `{text}` but:\n{picture}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `text` is shown after what was waited for last, and gives what was shown up to it.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let new = String::from_utf8_lossy(&seen[self.looked..]).into_owned();
                if let Some(at) = new.find(text) {
                    self.looked += at + text.len();
                    return new[..at].to_owned();
                }
            }
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "the terminal does not show `{text}` but:\n{}",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The terminal's modes.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn modes(&self) -> Termios {
        tcgetattr(self.slave.as_fd()).expect("modes")
    }

    /// Changes the size of its window.
    ///
    /// # Panics
    /// When it is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, size(rows, columns)).expect("size");
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn finish(mut self) -> i32 {
        self.ended()
    }

    /// Waits for the program's end, and gives everything that it showed.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    #[must_use]
    pub fn shown(mut self) -> String {
        let _status = self.ended();
        // What it wrote last may still be on its way; a mark after it tells that all of it has come.
        let mark = b"<the end>";
        rustix::io::write(&self.slave, mark).expect("the terminal's far end");
        let text = self.wait_for("<the end>");
        let screen = self.screen();
        let end = screen.rfind("<the end>").unwrap_or(text.len());
        screen[..end].to_owned()
    }

    #[track_caller]
    fn ended(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                use std::os::unix::process::ExitStatusExt as _;
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "the program does not end; the terminal shows:\n{}",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a terminal makes of text and of the sequences that move and clear; others it takes and does nothing.
fn picture(text: &str) -> String {
    let mut rows: Vec<Vec<char>> = vec![Vec::new(); 100];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' if rest.next_if_eq(&'[').is_some() => {
                let mut words = String::new();
                let mut end = ' ';
                for c in rest.by_ref() {
                    if ('@'..='~').contains(&c) {
                        end = c;
                        break;
                    }
                    words.push(c);
                }
                let mut numbers = words.split(';').map(|word| word.parse().unwrap_or(1_usize));
                match end {
                    'H' => {
                        row = numbers.next().unwrap_or(1).saturating_sub(1).min(99);
                        column = numbers.next().unwrap_or(1).saturating_sub(1);
                    }
                    'J' => rows.iter_mut().for_each(Vec::clear),
                    _ => {}
                }
            }
            '\n' => row = (row + 1).min(99),
            '\r' => column = 0,
            c if c.is_control() => {}
            c => {
                let line = &mut rows[row];
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = c;
                column += 1;
            }
        }
    }
    let lines: Vec<String> = rows
        .into_iter()
        .map(|line| line.into_iter().collect::<String>().trim_end().to_owned())
        .collect();
    lines.join("\n").trim_end().to_owned()
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
