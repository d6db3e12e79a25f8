//! One held capability: what it gives, what is left of it, and whether it lives.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use valetkey_api::Granted;
use valetkey_approval::FileFacts;
use valetkey_capability::{Capability, Claims};
use valetkey_model::{
    Action, ActionSet, CapabilityId, Constraints, Grant, PathPattern, Resource, Timestamp,
};
use valetkey_view::{Content, Identity, Limit, Limits, Permit, Touched, Use};

use super::Budget;
use super::reach::Reach;
use super::shown::Shown;
use crate::media;
use crate::programs::Pin;

/// What reads bytes, and what writes them.
const READING: ActionSet = ActionSet::of(&[Action::Read, Action::Execute]);
const WRITING: ActionSet = ActionSet::of(&[Action::Write, Action::Append]);

/// A verified capability with its remaining counts. It is dead for good once it or one that it was narrowed from is revoked, expired or used up.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) grant: Grant,
    reach: Reach,
    /// What a program that it gives has to be.
    pin: Option<Pin>,
    pub(super) capability: RwLock<Arc<Capability>>,
    streamed: bool,
    /// The person granted it when the session began.
    from_the_start: AtomicBool,
    live: AtomicBool,
    /// How long it lives from its issue, in seconds.
    life_seconds: u64,
    /// Its one use has been made: what was opened with it goes on, nothing more is opened.
    spent: AtomicBool,
    budget: Arc<Budget>,
    /// What people were shown of the file, until it is first used; shared with what was narrowed from it.
    shown: Arc<Shown>,
    /// Until when the same is given again without asking.
    lease_until: Option<Timestamp>,
    /// What it was narrowed from.
    parent: Option<Arc<Held>>,
    /// How many it was narrowed from, one after the other.
    pub(super) depth: usize,
}

impl Held {
    pub(super) fn new(
        claims: &Claims,
        granted: &Granted,
        shown: Option<FileFacts>,
        parent: Option<Arc<Self>>,
    ) -> Self {
        let grant = claims.grant();
        let above = parent.as_ref().map(|parent| Arc::clone(&parent.budget));
        Self {
            budget: Arc::new(Budget::new(&grant.constraints, above)),
            capability: RwLock::new(Arc::new(Capability::from(claims))),
            streamed: granted.streamed,
            lease_until: granted.lease_until,
            shown: match &parent {
                Some(parent) => Arc::clone(&parent.shown),
                None => Arc::new(Shown::new(shown)),
            },
            from_the_start: AtomicBool::new(false),
            live: AtomicBool::new(true),
            life_seconds: claims.exp.saturating_sub(claims.iat),
            spent: AtomicBool::new(false),
            reach: Reach::new(&grant),
            pin: Pin::of(&grant.resource),
            grant,
            depth: parent
                .as_ref()
                .map_or(0, |parent| parent.depth.saturating_add(1)),
            parent,
        }
    }

    pub(crate) fn id(&self) -> CapabilityId {
        self.capability().capability_id.clone()
    }

    /// The capability in words.
    pub(crate) fn capability(&self) -> Arc<Capability> {
        Arc::clone(
            &self
                .capability
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Whether a new capability may take its place when its time runs out: it was given by policy alone or under a lease, whole, and counts
    /// nothing.
    pub(crate) fn is_renewable(&self) -> bool {
        let capability = self.capability();
        (capability.approvals.is_empty() || self.lease_until.is_some())
            && self.parent.is_none()
            && counts_nothing(&self.grant.constraints)
    }

    /// Until when the same is given again without asking.
    pub(crate) fn lease_until(&self) -> Option<Timestamp> {
        self.lease_until
    }

    /// What it was narrowed from at first, or itself.
    pub(crate) fn first(&self) -> &Self {
        let mut first = self;
        while let Some(parent) = &first.parent {
            first = parent;
        }
        first
    }

    /// Whether it stands under a lease that ends with it: there is nothing to ask for again.
    pub(crate) fn ends_its_lease(&self) -> bool {
        let end = self.capability().expires_at;
        // Lives are whole seconds; a lease may end within one.
        self.lease_until
            .is_some_and(|until| until.unix_seconds() <= end.unix_seconds().saturating_add(1))
    }

    /// Makes the first use of what people approved, if the file is still what they were shown.
    ///
    /// # Errors
    /// What changed, in words.
    pub(crate) fn first_use(&self, now: Option<&FileFacts>) -> Result<(), &'static str> {
        self.shown.first_use(now)
    }

    /// Whether a fifth of its life, or less, is left.
    pub(crate) fn nears_its_end(&self, now: Timestamp) -> bool {
        let life_ms = self.life_seconds.saturating_mul(1000);
        self.capability().expires_at.ms_since(now) <= life_ms / 5
    }

    pub(crate) fn constraints(&self) -> &Constraints {
        &self.grant.constraints
    }

    /// Whether opens under it may be recorded after they happen.
    pub(crate) fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// Whether an open under it needs no word with the broker first: it may be recorded as it streams, and is not the only one.
    pub(crate) fn opens_at_once(&self) -> bool {
        self.streamed
            && !self.grant.constraints.is_single_use()
            && !self.shown.is_unused()
            && self.grant.resource.as_file().is_some()
    }

    /// The pattern of files, or of programs, that it speaks of.
    pub(crate) fn pattern(&self) -> Option<&PathPattern> {
        self.grant.resource.as_path()
    }

    /// What a program that it gives has to be.
    pub(crate) fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// Whether it gives all of these actions.
    fn gives(&self, wanted: ActionSet) -> bool {
        self.actions().allows_all(wanted)
    }

    /// Whether it gives `wanted` of the program at `path`, and another one lies there.
    pub(crate) fn is_another_program(&self, path: &Path, wanted: ActionSet) -> bool {
        let pin = self
            .pin
            .as_ref()
            .filter(|_| self.permits_path(path, wanted));
        pin.is_some_and(|pin| !pin.holds_at(path))
    }

    /// Whether it is of a program and masks: what runs is not masked, so such a one gives nothing.
    fn masks_a_program(&self) -> bool {
        self.grant.constraints.redact.is_some() && self.grant.resource.as_file().is_none()
    }

    /// Whether it gives all of `wanted` on the path. What its limits leave is asked when the operation begins.
    pub(crate) fn permits_path(&self, path: &Path, wanted: ActionSet) -> bool {
        // The path last: that takes the longest.
        !self.is_spent()
            && self.gives(wanted)
            && !self.masks_a_program()
            && (wanted.is_empty() || !self.grant.constraints.are_beyond_files())
            && self.speaks_of(path)
    }

    /// Whether it speaks of the path at all, live, and with no exception there.
    pub(crate) fn speaks_of(&self, path: &Path) -> bool {
        self.is_live()
            && self
                .pattern()
                .is_some_and(|pattern| self.reach.has(pattern, path))
    }

    /// Whether it takes the path out of what it or another capability gives.
    pub(crate) fn takes_out(&self, path: &Path) -> bool {
        self.is_live() && self.reach.takes_out(path)
    }

    /// Says that the person granted it when the session began.
    pub(crate) fn begins_the_session(&self) {
        self.from_the_start.store(true, Ordering::Release);
    }

    /// Whether a person gave one file by its name: at the start, or by an answer to a question that told of its links.
    pub(crate) fn is_of_this_file(&self) -> bool {
        self.pattern().is_some_and(PathPattern::is_literal)
            && (self.from_the_start.load(Ordering::Acquire)
                || !self.capability().approvals.is_empty())
    }

    /// Whether it gives all of `wanted` on the path and everything below, with no exception inside.
    pub(crate) fn permits_tree(&self, path: &Path, wanted: ActionSet) -> bool {
        let Ok(tree) = PathPattern::tree(path) else {
            return false;
        };
        let free = |out: &PathPattern| !out.may_match_below(path) && !out.matches(path);
        self.permits_path(path, wanted)
            && self.pattern().is_some_and(|pattern| pattern.covers(&tree))
            && self
                .grant
                .except
                .iter()
                .all(|out| out.as_file().is_some_and(free))
    }

    /// Whether it gives `wanted` on the resource. A limit that no document operation can hold makes it useless here: fail closed.
    pub(crate) fn permits(&self, resource: &Resource, wanted: ActionSet) -> bool {
        self.is_live()
            && !self.is_spent()
            && !self.grant.constraints.are_beyond_files()
            && self.grant.constraints.redact.is_none()
            && self.grant.covers(resource)
            && self.grant.actions.allows_all(wanted)
    }

    /// Whether a limit leaves nothing for `wanted`.
    pub(crate) fn is_used_up(&self, wanted: ActionSet) -> bool {
        let any = |of: ActionSet| of.iter().any(|action| wanted.allows(action));
        self.budget.is_used_up(any(READING), any(WRITING))
    }

    /// Takes rows from what may be appended in all, or nothing.
    pub(crate) fn take_rows(&self, rows: u64) -> Result<(), u64> {
        self.budget.take_rows(rows)
    }

    /// Gives rows back that were taken and not appended.
    pub(crate) fn return_rows(&self, rows: u64) {
        self.budget.return_rows(rows);
    }

    /// The bytes that may still be written.
    pub(crate) fn write_left(&self) -> Option<u64> {
        self.budget.write_left()
    }

    fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// Makes its one use; whether it was the first.
    pub(crate) fn spend(&self) -> bool {
        !self.spent.swap(true, Ordering::AcqRel)
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.live.store(false, Ordering::Release);
    }

    /// Whether what is touched is the program that it is pinned to; without a pin everything is.
    fn is_the_program(&self, touched: &Touched<'_>) -> bool {
        self.pin.as_ref().is_none_or(|pin| match touched.content {
            Content::Read(file) => pin.holds(file),
            Content::Nothing | Content::Judged => true,
            Content::New | Content::Unread => false,
        })
    }

    /// Whether what is touched is of a media type that it gives; without such a limit everything is.
    fn is_of_a_given_type(&self, touched: &Touched<'_>) -> bool {
        let Some(given) = &self.grant.constraints.media_types else {
            return true;
        };
        let kind = match touched.content {
            // Directories, links and pipes have no type; a file was judged when it was opened.
            Content::Nothing | Content::Judged => return true,
            Content::New => media::of_new(touched.path),
            Content::Read(file) => media::of_file(touched.path, file),
            // Nobody gave it to be judged, so nobody knows.
            Content::Unread => None,
        };
        kind.is_some_and(|kind| media::is_given(given, kind))
    }
}

/// Whether there is no limit that is used up; a mask is none.
fn counts_nothing(constraints: &Constraints) -> bool {
    let without_mask = Constraints {
        redact: None,
        ..constraints.clone()
    };
    without_mask == Constraints::default()
}

impl Permit for Held {
    fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
            && self.parent.as_ref().is_none_or(|parent| parent.is_live())
    }

    fn actions(&self) -> ActionSet {
        match self.pin {
            Some(_) => Pin::widened(self.grant.actions),
            None => self.grant.actions,
        }
    }

    fn limits(&self) -> Limits {
        let content = self.grant.constraints.media_types.is_some() || self.pin.is_some();
        Limits {
            bytes: self.budget.limits_bytes(),
            uses: content || self.budget.limits_uses(),
            content,
        }
    }

    fn take_read(&self, bytes: u64) -> Result<u64, Limit> {
        self.budget.take_read(bytes)
    }

    fn return_read(&self, bytes: u64) {
        self.budget.return_read(bytes);
    }

    fn take_write(&self, bytes: u64) -> Result<(), Limit> {
        self.budget.take_write(bytes)
    }

    fn return_write(&self, bytes: u64) {
        self.budget.return_write(bytes);
    }

    fn begin(&self, usage: &Use<'_>) -> Result<(), Limit> {
        // A child's types are within its parent's, which was made sure when it was taken up.
        if !usage
            .touched
            .iter()
            .all(|touched| self.is_of_a_given_type(touched))
        {
            return Err(Limit::MediaType);
        }
        if !usage
            .touched
            .iter()
            .all(|touched| self.is_the_program(touched))
        {
            return Err(Limit::Digest);
        }
        let objects: Vec<Identity> = usage
            .touched
            .iter()
            .filter_map(|touched| touched.object)
            .collect();
        self.budget.begin(&objects, usage.new_objects())
    }

    fn abandon(&self, new: u64) {
        self.budget.abandon(new);
    }

    fn made(&self, object: Identity) {
        self.budget.made(object);
    }
}
