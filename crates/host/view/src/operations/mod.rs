//! The operations of the view, one family to a file. Each asks for its rights first and acts then,
//! so that a request that must wait can be run again from its beginning.

mod attributes;
mod data;
mod directory;
mod lookup;
mod names;
mod open;
mod quiet;
mod rename;
mod temporary;
mod xattr;

use rustix::io::Errno;
use valetkey_fuse::{Operation, Request};

use crate::connection::{Answer, Caller, Fail, Server};

pub(crate) use quiet::{Counts, WRITER_RESTS};

type Outcome = Result<Answer, Fail>;

impl Server {
    /// Runs one request.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the rest is matched in `run_names`"
    )]
    pub(crate) fn run(
        &self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        scratch: &mut [u8],
    ) -> Outcome {
        let node = request.header().node;
        match *request.operation() {
            Operation::Read {
                handle,
                offset,
                size,
                ..
            } => self.read(node, handle, offset, size, scratch),
            Operation::ReadDirectory {
                handle,
                offset,
                size,
                plus,
            } => self.read_directory(caller, node, handle, offset, size, plus, scratch),
            Operation::Write { .. }
            | Operation::Flush { .. }
            | Operation::Sync { .. }
            | Operation::Seek { .. }
            | Operation::Allocate { .. }
            | Operation::CopyRange { .. } => self.run_data(caller, node, request.operation()),
            Operation::Lookup { name } => self.lookup(caller, node, name),
            Operation::GetAttributes { handle } => self.get_attributes(caller, node, handle),
            Operation::Statx { handle } => self.statx(caller, node, handle),
            Operation::SetAttributes(change) => self.set_attributes(caller, node, &change),
            Operation::ReadLink => self.read_link(caller, node),
            Operation::Open { flags, kill_set_id } => self.open(caller, node, flags, kill_set_id),
            Operation::Create { name, flags, mode } => self.create(caller, node, name, flags, mode),
            Operation::Release { handle } => {
                self.release(handle);
                Ok(Answer::Done)
            }
            Operation::OpenDirectory { .. } => self.open_directory(caller, node),
            Operation::ReleaseDirectory { handle } => {
                drop(self.directories.remove(handle));
                Ok(Answer::Done)
            }
            Operation::SyncDirectory { handle, .. } => self.sync_directory(handle),
            Operation::FileSystemStatistics => self.statistics(node),
            _ => self.run_names(request, caller),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever is not named here or above is not offered, and says so"
    )]
    fn run_names(&self, request: &Request<'_>, caller: &Caller<'_>) -> Outcome {
        let node = request.header().node;
        match *request.operation() {
            Operation::Symlink { name, target } => self.make_symlink(caller, node, name, target),
            Operation::MakeNode { name, mode, .. } => self.make_node(caller, node, name, mode),
            Operation::MakeDirectory { name, mode } => {
                self.make_directory(caller, node, name, mode)
            }
            Operation::Unlink { name } => self.remove(caller, node, name, false),
            Operation::RemoveDirectory { name } => self.remove(caller, node, name, true),
            Operation::Rename {
                name,
                new_parent,
                new_name,
                flags,
            } => self.rename(caller, (node, name), (new_parent, new_name), flags),
            Operation::Link { node: source, name } => self.link(caller, source, node, name),
            Operation::SetXattr { name, value, flags } => {
                self.set_xattr(caller, node, name, value, flags)
            }
            Operation::GetXattr { name, size } => self.get_xattr(caller, node, name, size),
            Operation::ListXattr { size } => self.list_xattrs(caller, node, size),
            Operation::RemoveXattr { name } => self.remove_xattr(caller, node, name),
            Operation::Ioctl => Err(Errno::NOTTY.into()),
            Operation::TemporaryFile { flags, mode } => self.temporary_file(node, flags, mode),
            _ => Err(Errno::NOSYS.into()),
        }
    }
}
