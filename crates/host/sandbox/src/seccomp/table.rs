//! System calls by name, with the number that this machine's kernel knows them by.

/// A system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    name: &'static str,
    pub(super) number: i64,
}

impl Call {
    /// A call of the kernel's newer range (424 and up), where every architecture has the same numbers.
    pub(super) const fn newer(name: &'static str, number: i64) -> Self {
        assert!(number >= 424);
        Self { name, number }
    }

    /// A call by the name and number that the C library's headers give it.
    pub(super) const fn known(name: &'static str, number: i64) -> Self {
        Self { name, number }
    }

    /// The call's name, as in its manual page.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name.strip_prefix("SYS_").unwrap_or(self.name)
    }

    /// The call's number on this machine.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }
}

/// A list of calls by their `SYS_` names.
macro_rules! calls {
    ($($call:ident)*) => {
        &[$($crate::seccomp::Call::known(stringify!($call), libc::$call)),*]
    };
}
pub(super) use calls;
