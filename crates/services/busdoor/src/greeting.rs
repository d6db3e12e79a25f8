//! The greeting of D-Bus (SASL, `EXTERNAL` alone), from either side. Descriptors are not agreed on, and so never come.

use std::io::{self, Read, Write};

/// The longest line.
const LINE_MAX: usize = 1024;
/// The most lines that a client may need.
const LINES_MAX: usize = 32;

/// Greets the bus as this process's user; answers the bus's own id.
pub(crate) fn greet(stream: &mut (impl Read + Write)) -> io::Result<String> {
    let user = rustix::process::geteuid().as_raw().to_string();
    let user: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
    stream.write_all(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes())?;
    let answer = line(stream)?;
    let id = answer.strip_prefix("OK ").filter(|id| is_id(id));
    let id = id.ok_or_else(|| refused("the session bus does not let this program in"))?;
    stream.write_all(b"BEGIN\r\n")?;
    Ok(id.to_owned())
}

/// Lets whoever is at the other end in: the socket is the cell's own. `id` is the bus's.
pub(crate) fn be_greeted(stream: &mut (impl Read + Write), id: &str) -> io::Result<()> {
    let mut first = [0];
    stream.read_exact(&mut first)?;
    if first != [0] {
        return Err(refused("no greeting"));
    }
    let mut known = false;
    for _ in 0..LINES_MAX {
        let line = line(stream)?;
        let mut words = line.split(' ');
        let answer = match (words.next(), words.next(), words.next()) {
            (Some("AUTH"), Some("EXTERNAL"), None) => "DATA".to_owned(),
            (Some("AUTH"), Some("EXTERNAL"), Some(_)) | (Some("DATA"), _, _) => {
                known = true;
                format!("OK {id}")
            }
            (Some("BEGIN"), None, None) if known => return Ok(()),
            (Some("AUTH" | "CANCEL" | "ERROR"), _, _) => {
                known = false;
                "REJECTED EXTERNAL".to_owned()
            }
            _ => "ERROR".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Err(refused("no end of the greeting"))
}

/// One line, byte by byte: what follows the last one is no text any more.
fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() >= LINE_MAX {
            return Err(refused("a line of the greeting is too long"));
        }
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    bytes.truncate(bytes.len().saturating_sub(2));
    String::from_utf8(bytes).map_err(|_| refused("the greeting is no text"))
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream with what comes and what went.
    struct Both(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Both {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Both {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn greeted(text: &str) -> (bool, String) {
        let mut stream = Both(io::Cursor::new(text.into()), Vec::new());
        let done = be_greeted(&mut stream, "0123").is_ok();
        (done, String::from_utf8(stream.1).expect("text"))
    }

    #[test]
    fn clients_are_greeted_without_descriptors() {
        let (done, said) = greeted("\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        assert!(done);
        assert_eq!(said, "OK 0123\r\nERROR\r\n");
        let (done, said) = greeted("\0AUTH\r\nAUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
        assert!(done);
        assert_eq!(said, "REJECTED EXTERNAL\r\nDATA\r\nOK 0123\r\n");
        for bad in [
            "",
            "AUTH",
            "\0BEGIN\r\n",
            "\0AUTH ANONYMOUS\r\nBEGIN\r\n",
            "\0AUTH EXTERNAL 30\r\nCANCEL\r\nBEGIN\r\n",
        ] {
            assert!(!greeted(bad).0, "{bad:?}");
        }
        assert!(!greeted(&format!("\0{}\r\n", "A".repeat(2 * LINE_MAX))).0);
    }

    #[test]
    fn a_bus_that_refuses_is_none() {
        let good = format!("OK {}\r\n", "0".repeat(32));
        let mut stream = Both(io::Cursor::new(good.into()), Vec::new());
        assert_eq!(greet(&mut stream).expect("greeted"), "0".repeat(32));
        for bad in ["REJECTED EXTERNAL\r\n", "OK \r\n", "OK x\r\n", ""] {
            let mut stream = Both(io::Cursor::new(bad.into()), Vec::new());
            assert!(greet(&mut stream).is_err(), "{bad:?}");
        }
    }
}
