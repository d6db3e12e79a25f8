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

/// The user id of an account's name; of the stand-in that [`by_uid`] gives for one that the host does not know, too.
#[must_use]
pub fn uid_of(name: &str) -> Option<u32> {
    let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = |line: &str| -> Option<u32> {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_it)?.parse().ok()
    };
    table.lines().find_map(named).or_else(|| {
        let uid: u32 = name.strip_prefix("uid")?.parse().ok()?;
        (find(uid).is_none() && name == format!("uid{uid}")).then_some(uid)
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

    #[test]
    fn names_lead_to_accounts_and_stand_ins_to_those_that_are_unknown() {
        assert_eq!(uid_of("root"), Some(0));
        assert_eq!(uid_of("uid4123456789"), Some(4_123_456_789));
        for none in ["uid0", "uid04123456789", "no such user", "", "uid", "uid-1"] {
            assert_eq!(uid_of(none), None, "{none}");
        }
    }
}
