//! Accounts of this host, read from `/etc/passwd`.

use std::fs;
use std::path::PathBuf;

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
    /// The login shell.
    pub shell: PathBuf,
}

/// The name of a user of this host, if it knows one.
#[must_use]
pub fn name_of(uid: u32) -> Option<String> {
    find(uid).map(|account| account.name)
}

/// The account with this user id; a plain stand-in, which owns nothing, if the host knows none.
#[must_use]
pub fn by_uid(uid: u32) -> Account {
    find(uid).unwrap_or_else(|| Account {
        name: format!("uid{uid}"),
        home: PathBuf::from("/"),
        shell: PathBuf::from("/bin/sh"),
    })
}

fn find(uid: u32) -> Option<Account> {
    let table = fs::read_to_string("/etc/passwd").ok()?;
    table.lines().find_map(|line| read(line, uid))
}

fn read(line: &str, uid: u32) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let number = fields.nth(1)?;
    let home = fields.nth(2)?;
    let shell = fields
        .next()
        .filter(|shell| !shell.is_empty())
        .unwrap_or("/bin/sh");
    (number.parse() == Ok(uid)).then(|| Account {
        name: name.to_owned(),
        home: PathBuf::from(home),
        shell: PathBuf::from(shell),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_passwd_are_read() {
        let root = read("root:x:0:0:root:/root:/bin/bash", 0).unwrap();
        assert_eq!(
            (root.name.as_str(), root.home, root.shell),
            ("root", "/root".into(), "/bin/bash".into())
        );
        assert_eq!(
            read("a:x:5:5::/h:", 5).unwrap().shell,
            PathBuf::from("/bin/sh")
        );
        assert_eq!(read("a:x:5:5::/h:", 6), None);
        assert_eq!(read("nonsense", 0), None);
    }
}
