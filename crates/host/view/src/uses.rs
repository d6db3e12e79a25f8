//! Limits on what is done: each operation is begun with every right that it needs before it has an effect, and
//! bytes are taken from all rights of a handle or from none.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use valetkey_model::ActionSet;

use crate::authority::{Content, Identity, Limit, Observation, Permit, Purpose, Touched, Use};
use crate::connection::{Fail, Server};
use crate::handle::FileHandle;
use crate::host::{KIND_REGULAR, Stat};

/// The rights of an operation.
type Permits = [Arc<dyn Permit>];

/// An operation that was begun. Unless it is [`Begun::done`], it counts for nothing.
#[derive(Debug)]
#[must_use]
pub(crate) struct Begun {
    permits: Vec<Arc<dyn Permit>>,
    new: u64,
}

impl Begun {
    /// The operation had its effect.
    pub(crate) fn done(mut self) {
        self.permits.clear();
    }

    /// The operation made this object.
    pub(crate) fn made(mut self, object: Option<Identity>) {
        for permit in std::mem::take(&mut self.permits) {
            if let Some(object) = object {
                permit.made(object);
            }
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        for permit in &self.permits {
            permit.abandon(self.new);
        }
    }
}

impl Server {
    /// Begins an operation with all of its rights, or with none.
    pub(crate) fn begin(
        &self,
        permits: &Permits,
        wanted: ActionSet,
        purpose: Purpose,
        touched: &[Touched<'_>],
    ) -> Result<Begun, Fail> {
        let usage = Use { purpose, touched };
        let limited = permits.iter().filter(|permit| permit.limits().uses);
        let mut begun = Begun {
            permits: Vec::new(),
            new: usage.new_objects(),
        };
        for permit in distinct(limited.cloned().collect()) {
            if let Err(limit) = permit.begin(&usage) {
                let path = touched.first().map_or(Path::new("/"), |first| first.path);
                return Err(self.limited(path, wanted, limit));
            }
            begun.permits.push(permit);
        }
        Ok(begun)
    }

    /// Tells that a limit was reached.
    pub(crate) fn limited(&self, path: &Path, wanted: ActionSet, limit: Limit) -> Fail {
        self.shared.authority.report(Observation::Limited {
            path: path.to_path_buf(),
            wanted,
            limit,
        });
        Fail::Errno(limit.errno())
    }

    /// Tells that a limit on the bytes of an open file was reached.
    pub(crate) fn limited_handle(&self, handle: &FileHandle, limit: Limit) -> Fail {
        self.limited(&handle.path, handle.wanted, limit)
    }

    /// A descriptor to read what is in the object, where one of the rights limits that.
    pub(crate) fn readable(
        &self,
        permits: &Permits,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Stat,
    ) -> Result<Option<OwnedFd>, Fail> {
        if stat.kind() != KIND_REGULAR || !permits.iter().any(|permit| permit.limits().content) {
            return Ok(None);
        }
        let host = &self.shared.host;
        let (opened, _) = host.open_object(directory, name, OFlags::RDONLY, &stat.key())?;
        Ok(Some(opened))
    }
}

/// What there is of an object to be judged by.
pub(crate) fn content<'a>(stat: &Stat, readable: Option<&'a OwnedFd>) -> Content<'a> {
    match readable {
        _ if stat.kind() != KIND_REGULAR => Content::Nothing,
        Some(opened) => Content::Read(opened.as_fd()),
        None => Content::Unread,
    }
}

/// Each right once: by two names a file may have come under the same one.
pub(crate) fn distinct(mut permits: Vec<Arc<dyn Permit>>) -> Vec<Arc<dyn Permit>> {
    if permits.len() > 1 {
        let mut kept: Vec<Arc<dyn Permit>> = Vec::with_capacity(permits.len());
        for permit in permits {
            let same = |other: &Arc<dyn Permit>| {
                std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(&permit))
            };
            if !kept.iter().any(same) {
                kept.push(permit);
            }
        }
        permits = kept;
    }
    permits
}

/// Takes as many of `bytes` as all rights allow.
pub(crate) fn take_read(permits: &Permits, bytes: u64) -> Result<u64, Limit> {
    let mut taken: Vec<(&Arc<dyn Permit>, u64)> = Vec::with_capacity(permits.len());
    let mut allowed = bytes;
    let mut refused = None;
    for permit in permits {
        match permit.take_read(allowed) {
            Ok(count) => {
                taken.push((permit, count));
                allowed = allowed.min(count);
            }
            Err(limit) => {
                allowed = 0;
                refused = Some(limit);
                break;
            }
        }
    }
    for (permit, count) in taken {
        permit.return_read(count.saturating_sub(allowed));
    }
    match refused {
        Some(limit) => Err(limit),
        None if allowed == 0 && bytes > 0 => Err(Limit::Bytes),
        None => Ok(allowed),
    }
}

/// Takes `bytes` from all rights or from none.
pub(crate) fn take_write(permits: &Permits, bytes: u64) -> Result<(), Limit> {
    for (number, permit) in permits.iter().enumerate() {
        if let Err(limit) = permit.take_write(bytes) {
            return_write(permits.get(..number).unwrap_or_default(), bytes);
            return Err(limit);
        }
    }
    Ok(())
}

/// Gives back to all rights.
pub(crate) fn return_write(permits: &Permits, bytes: u64) {
    if bytes > 0 {
        for permit in permits {
            permit.return_write(bytes);
        }
    }
}
