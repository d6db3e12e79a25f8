//! Files without a name: made in a directory, written, and perhaps given a name at last.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, linkat};
use rustix::io::Errno;
use valetkey_fuse::Entry;
use valetkey_model::FileKind;

use super::Outcome;
use super::names::{Makes, NewName};
use super::open::{How, Rights};
use crate::authority::{
    CREATE, Content, Facts, Observation, Permit, Purpose, Touched, Verdict, WRITE,
};
use crate::connection::{Answer, Caller, Fail, Server};
use crate::handle::{FileHandle, Writing};
use crate::host::stat_descriptor;
use crate::node::Node;

/// The name by which rights to a file are looked up while it has none.
const NAMELESS: &str = "#nameless";

impl Server {
    /// Makes a file without a name. Nobody can be asked about one, and no bytes of one are counted: where that would be needed the
    /// answer is that of a file system that has none, and programs make a file with a name.
    pub(super) fn temporary_file(&self, parent: u64, flags: u32, mode: u32) -> Outcome {
        if self.is_quiet() {
            return Err(Errno::OPNOTSUPP.into());
        }
        let parent = self.node(parent)?;
        let path = self.child_path(&parent, OsStr::new(NAMELESS))?;
        let how = How::from_flags(flags);
        let wanted = how.wanted(false).union(CREATE);
        let shared = &self.shared;
        // What is masked is not made: see `masks`.
        if shared.host.is_hidden(&path) || !shared.authority.redacts(&path).is_none() {
            return Err(Errno::OPNOTSUPP.into());
        }
        let permit = match shared.authority.check(&path, wanted) {
            Verdict::Permitted(permit) if !permit.limits().bytes && !permit.limits().content => {
                permit
            }
            Verdict::Refused { .. } => return Err(Fail::Refused { visible: true }),
            Verdict::Permitted(_) | Verdict::Unknown => return Err(Errno::OPNOTSUPP.into()),
        };
        let directory = self.directory(&parent)?;
        // Whether it may get a name is the kernel's to know, and the host's.
        let once = OFlags::from_bits_retain(flags) & OFlags::EXCL;
        let host_flags = how.host_flags() | OFlags::TMPFILE | once;
        let touched = [Touched {
            path: &path,
            object: None,
            content: Content::New,
        }];
        let permits = std::slice::from_ref(&permit);
        let begun = self.begin(permits, wanted, Purpose::Create, &touched)?;
        let here = OsStr::new(".");
        let file = shared
            .host
            .open(directory.as_fd(), here, host_flags, mode & 0o1777)?;
        let made = stat_descriptor(file.as_fd()).ok();
        begun.made(made.map(|stat| stat.identity()));
        let stat = self.fix_mode(&file, mode)?;
        let node = self.nodes.hold(stat.key());
        let entry = Entry {
            node: node.id,
            entry_valid: self.valid(),
            attributes_valid: self.valid(),
            attributes: self.shown(&stat, &path, &crate::sight::Sight::Covered),
        };
        let rights = Rights::anywhere(permit, wanted);
        let (handle, flags) = self.opened(&node, file, &stat, path, how, rights);
        Ok(Answer::Created {
            entry,
            handle: self.files.insert(handle),
            flags,
        })
    }

    /// Gives a name to a file that has none. Its content comes to be at that name, so that the right to write it there is
    /// needed, now and for as long as the file is open.
    pub(super) fn give_name(
        &self,
        caller: &Caller<'_>,
        node: &Arc<Node>,
        parent: u64,
        name: &OsStr,
    ) -> Outcome {
        let handles = node.handles();
        let handle = handles.iter().find(|handle| is_nameless(handle));
        // What has lost its last name gets no other, as on the host.
        let handle = handle.ok_or(Errno::NOENT)?;
        self.live(handle)?;
        let new = self.new_name(caller, parent, name, Makes::Other)?;
        let wanted = CREATE.union(WRITE);
        let permit = self
            .permit(caller, &new.path, wanted, Purpose::Create, Facts::absent)
            .map_err(Fail::plainly)?;
        let limits = permit.limits();
        if limits.bytes || (limits.content && !handle.readable) {
            // What was written was not counted, and cannot be judged.
            return Err(Errno::ACCESS.into());
        }
        let begun = self.begin(
            std::slice::from_ref(&permit),
            wanted,
            Purpose::Create,
            &[Touched {
                path: &new.path,
                object: Some(stat_descriptor(handle.file.as_fd())?.identity()),
                content: if limits.content {
                    Content::Read(handle.file.as_fd())
                } else {
                    Content::Judged
                },
            }],
        )?;
        // Before the name is there: nothing is written at it that the right to it would not let through.
        for handle in &handles {
            handle.join(Arc::clone(&permit));
        }
        let kept = self.keep_making(new.directory.as_fd(), &new.path, None)?;
        self.mask_as(node, &new.path);
        self.link_nameless(handle, &new)?;
        kept.done(&[]);
        begun.done();
        let stat = stat_descriptor(handle.file.as_fd())?;
        self.kept_made(&new.path, &stat);
        for handle in &handles {
            self.kept_opened(handle, &stat);
        }
        self.shared.authority.report(Observation::Created {
            path: new.path.clone(),
            kind: FileKind::File,
        });
        self.made_entry(&new)
    }

    fn link_nameless(&self, handle: &FileHandle, new: &NewName<'_>) -> Result<(), Errno> {
        let _moving = self.shared.moves.moving();
        let (descriptors, number) = self.shared.host.link_to(handle.file.as_fd());
        let follow = AtFlags::SYMLINK_FOLLOW;
        linkat(descriptors, &number, &new.directory, new.name, follow)
    }
}

impl Rights {
    fn anywhere(permit: Arc<dyn Permit>, wanted: valetkey_model::ActionSet) -> Self {
        Self {
            permits: vec![permit],
            wanted,
            writing: Writing::Anywhere,
        }
    }
}

fn is_nameless(handle: &FileHandle) -> bool {
    handle.path.file_name() == Some(OsStr::new(NAMELESS))
        && handle.writing == Writing::Anywhere
        && handle.is_live()
}
