//! Making and removing names.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, mknodat, symlinkat, unlinkat};
use rustix::io::Errno;
use valetkey_model::{Action, ActionSet};

use super::Outcome;
use crate::authority::{CREATE, Content, DELETE, Facts, Observation, Permit, Purpose, Touched};
use crate::connection::{Answer, Caller, Fail, Server};
use crate::host::{
    KIND_DIRECTORY, KIND_MASK, KIND_PIPE, KIND_REGULAR, KIND_SOCKET, Stat, file_kind,
};
use crate::keeper::{self, Doomed};
use crate::locks::lock;
use crate::node::Node;
use crate::uses::{self, Begun};

/// What is made at a new name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Makes {
    Directory,
    Other,
}

/// A name to be made, with the right to make it.
pub(super) struct NewName<'a> {
    permit: Arc<dyn Permit>,
    parent: Arc<Node>,
    pub(super) directory: Arc<OwnedFd>,
    pub(super) name: &'a OsStr,
    pub(super) path: std::path::PathBuf,
}

impl Server {
    pub(super) fn make_directory(
        &self,
        caller: &Caller<'_>,
        parent: u64,
        name: &OsStr,
        mode: u32,
    ) -> Outcome {
        let new = self.new_name(caller, parent, name, Makes::Directory)?;
        let begun = self.begin_new(&new, Content::Nothing)?;
        let kept = self.keep_making(new.directory.as_fd(), &new.path, None)?;
        mkdirat(&new.directory, name, Mode::from_raw_mode(mode & 0o1777))?;
        kept.done(&[]);
        self.made(&new, begun, Some(mode & 0o1777 | KIND_DIRECTORY))
    }

    pub(super) fn make_node(
        &self,
        caller: &Caller<'_>,
        parent: u64,
        name: &OsStr,
        mode: u32,
    ) -> Outcome {
        let kind = match mode & KIND_MASK {
            0 | KIND_REGULAR => FileType::RegularFile,
            KIND_PIPE => FileType::Fifo,
            KIND_SOCKET => FileType::Socket,
            // A device is a way past every other rule.
            _ => return Err(Errno::PERM.into()),
        };
        let new = self.new_name(caller, parent, name, Makes::Other)?;
        let content = if kind == FileType::RegularFile {
            Content::New
        } else {
            Content::Nothing
        };
        let begun = self.begin_new(&new, content)?;
        let kept = self.keep_making(new.directory.as_fd(), &new.path, None)?;
        mknodat(
            &new.directory,
            name,
            kind,
            Mode::from_raw_mode(mode & 0o1777),
            0,
        )?;
        kept.done(&[]);
        self.made(&new, begun, Some(mode))
    }

    pub(super) fn make_symlink(
        &self,
        caller: &Caller<'_>,
        parent: u64,
        name: &OsStr,
        target: &OsStr,
    ) -> Outcome {
        // Where the link leads does not matter: it is followed within the view, where it is decided on.
        let new = self.new_name(caller, parent, name, Makes::Other)?;
        let begun = self.begin_new(&new, Content::Nothing)?;
        let kept = self.keep_making(new.directory.as_fd(), &new.path, None)?;
        symlinkat(target, &new.directory, name)?;
        kept.done(&[]);
        self.made(&new, begun, None)
    }

    pub(super) fn link(
        &self,
        caller: &Caller<'_>,
        source: u64,
        parent: u64,
        name: &OsStr,
    ) -> Outcome {
        let node = self.node(source)?;
        if node.is_virtual() || node.is_directory() {
            return Err(Errno::PERM.into());
        }
        let places = match self.places(&node) {
            Err(Errno::STALE) => return self.give_name(caller, &node, parent, name),
            places => places?,
        };
        // A second name gives the content away to whoever may use that name.
        let content = ActionSet::of(&[Action::Read, Action::Write]);
        let mut permits = Vec::with_capacity(places.len().saturating_add(1));
        for place in &places {
            let facts = || place.stat.facts();
            permits.push(self.permit(caller, &place.path, content, Purpose::Create, facts)?);
        }
        self.by_every_name(caller, &places, content)?;
        let new = self.new_name(caller, parent, name, Makes::Other)?;
        if places
            .iter()
            .any(|place| self.widens(&place.path, &new.path))
        {
            return Err(Errno::ACCESS.into());
        }
        let place = places.first().ok_or(Errno::STALE)?;
        let host = &self.shared.host;
        let (source, _) = host.open_object(
            place.directory.as_fd(),
            &place.name.name,
            OFlags::PATH,
            &node.key,
        )?;
        permits.push(Arc::clone(&new.permit));
        let (from_directory, from_name) = (place.directory.as_fd(), &place.name.name);
        let readable = self.readable(&permits, from_directory, from_name, &place.stat)?;
        // One object by two names, each of which must suit what is in it.
        let touched = [&place.path, &new.path].map(|path| Touched {
            path,
            object: Some(place.stat.identity()),
            content: uses::content(&place.stat, readable.as_ref()),
        });
        let begun = self.begin(&permits, CREATE, Purpose::Create, &touched)?;
        let second = Some(place.stat.identity());
        let kept = self.keep_making(new.directory.as_fd(), &new.path, second)?;
        self.carry_link(&node, &new.path);
        self.mask_as(&node, &new.path);
        let _moving = self.shared.moves.moving();
        let (descriptors, number) = host.link_to(source.as_fd());
        linkat(
            descriptors,
            &number,
            &new.directory,
            name,
            AtFlags::SYMLINK_FOLLOW,
        )?;
        kept.done(&[(&new.path, source.as_fd())]);
        begun.done();
        let (from, to) = (place.path.clone(), new.path.clone());
        self.shared
            .authority
            .report(Observation::Linked { from, to });
        self.made_entry(&new)
    }

    pub(super) fn remove(
        &self,
        caller: &Caller<'_>,
        parent: u64,
        name: &OsStr,
        is_directory: bool,
    ) -> Outcome {
        let parent = self.node(parent)?;
        let path = self.child_path(&parent, name)?;
        let found = self.stat_child(&parent, name)?;
        let facts = || found.as_ref().map_or_else(Facts::absent, Stat::facts);
        let permits = [self.permit(caller, &path, DELETE, Purpose::Delete, facts)?];
        let stat = found.ok_or(Errno::NOENT)?;
        if self.shared.host.hides_below(&path) {
            return Err(Errno::BUSY.into());
        }
        self.may_keep(caller, &stat)?;
        let directory = self.directory(&parent)?;
        self.keep_masked(caller, directory.as_fd(), name, &stat, (&path, DELETE))?;
        let readable = self.readable(&permits, directory.as_fd(), name, &stat)?;
        let touched = [Touched {
            path: &path,
            object: Some(stat.identity()),
            content: uses::content(&stat, readable.as_ref()),
        }];
        let begun = self.begin(&permits, DELETE, Purpose::Delete, &touched)?;
        let doomed = keeper::doomed(directory.as_fd(), name, &path, &stat);
        let other_names = self.by_other_names(&doomed, &stat);
        let kept = self.keep_removing(&doomed)?;
        self.hold_open(&stat);
        let flags = if is_directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        unlinkat(&directory, name, flags)?;
        let now: Vec<(&std::path::Path, _)> = other_names
            .iter()
            .map(|object| (path.as_path(), object.as_fd()))
            .collect();
        kept.done(&now);
        begun.done();
        self.name_gone(&parent, name, &stat);
        let kind = file_kind(stat.attributes.mode);
        self.shared
            .authority
            .report(Observation::Deleted { path, kind });
        Ok(Answer::Done)
    }

    /// A file that has further names, to say how it stands when it has lost this one.
    pub(super) fn by_other_names(&self, doomed: &Doomed<'_>, stat: &Stat) -> Option<OwnedFd> {
        if self.shared.keeper.is_none() || stat.is_directory() || stat.attributes.nlink < 2 {
            return None;
        }
        let host = &self.shared.host;
        host.open(doomed.directory, doomed.name, OFlags::PATH, 0)
            .ok()
    }

    /// Where the kernel sends no handles, a file about to lose its last name is opened here, so that
    /// whoever has it open can go on.
    pub(super) fn hold_open(&self, stat: &Stat) {
        if !self.is_quiet() || stat.kind() != KIND_REGULAR || stat.attributes.nlink > 1 {
            return;
        }
        if let Some(node) = self.nodes.find(&stat.key()) {
            self.quiet_hold(&node);
        }
    }

    /// `name` in `parent` no longer leads to what it led to.
    pub(super) fn name_gone(&self, parent: &Node, name: &OsStr, was: &Stat) {
        let Some(node) = self.nodes.find(&was.key()) else {
            return;
        };
        node.remove_name(parent, name);
        if was.is_directory() || was.attributes.nlink <= 1 {
            let mut last = *was;
            last.attributes.nlink = 0;
            *lock(&node.removed) = Some(last);
            self.nodes.bury(&node);
        }
    }

    /// The right to make `name`, and the directory to make it in.
    pub(super) fn new_name<'a>(
        &self,
        caller: &Caller<'_>,
        parent: u64,
        name: &'a OsStr,
        makes: Makes,
    ) -> Result<NewName<'a>, Fail> {
        let parent = self.node(parent)?;
        let path = self.child_path(&parent, name)?;
        // On the way to what is hidden a link would lead its owner astray.
        if makes == Makes::Other && self.shared.host.hides_below(&path) {
            return Err(Errno::ACCESS.into());
        }
        let permit = self
            .permit(caller, &path, CREATE, Purpose::Create, Facts::absent)
            .map_err(Fail::plainly)?;
        let directory = self.directory(&parent)?;
        Ok(NewName {
            permit,
            parent,
            directory,
            name,
            path,
        })
    }

    /// Begins the making of a new object.
    fn begin_new(&self, new: &NewName<'_>, content: Content<'_>) -> Result<Begun, Fail> {
        let touched = [Touched {
            path: &new.path,
            object: None,
            content,
        }];
        let permits = std::slice::from_ref(&new.permit);
        self.begin(permits, CREATE, Purpose::Create, &touched)
    }

    /// Finishes what was made: its count, its mode, the record of it, and its entry.
    fn made(&self, new: &NewName<'_>, begun: Begun, mode: Option<u32>) -> Outcome {
        let stat = self.shared.host.stat(new.directory.as_fd(), new.name);
        begun.made(stat.ok().map(|stat| stat.identity()));
        if let Some(mode) = mode {
            let host = &self.shared.host;
            let made = host.open(new.directory.as_fd(), new.name, OFlags::PATH, 0)?;
            self.fix_mode(&made, mode)?;
        }
        let stat = self.shared.host.stat(new.directory.as_fd(), new.name)?;
        self.kept_made(&new.path, &stat);
        let kind = file_kind(stat.attributes.mode);
        let created = Observation::Created {
            path: new.path.clone(),
            kind,
        };
        self.shared.authority.report(created);
        self.made_entry(new)
    }

    pub(super) fn made_entry(&self, new: &NewName<'_>) -> Outcome {
        let stat = self.shared.host.stat(new.directory.as_fd(), new.name)?;
        Ok(Answer::Entry(self.new_entry(
            &new.parent,
            new.name,
            &new.path,
            &stat,
        )))
    }
}
