//! What is left of a capability's amounts, counted once for it and every capability that it was narrowed from.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use valetkey_model::Constraints;
use valetkey_view::{Identity, Limit};

/// Distinct files that are remembered under one capability, at some 50 bytes each: a limit above this is kept as this.
pub(crate) const FILES_MAX: u64 = 65_536;

/// The amounts of one capability.
///
/// Invariant (a family shares): whatever is taken is taken from the capability and from each that it was narrowed from, in one step
/// or not at all. The locks of a lineage are taken from the oldest down, so that two members of a family never wait for each other.
#[derive(Debug)]
pub(crate) struct Budget {
    counts: Mutex<Counts>,
    parent: Option<Arc<Budget>>,
    limits_bytes: bool,
    limits_uses: bool,
}

/// What is left; nothing where nothing is limited.
#[derive(Debug)]
struct Counts {
    read: Option<u64>,
    write: Option<u64>,
    rows: Option<u64>,
    operations: Option<u64>,
    files: Option<Files>,
}

/// Files that were touched, and how many more may be.
#[derive(Debug)]
struct Files {
    left: u64,
    known: HashSet<Identity>,
}

/// An amount that is taken in all or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Write,
    Rows,
}

impl Counts {
    fn amount(&mut self, kind: Kind) -> Option<&mut u64> {
        match kind {
            Kind::Write => self.write.as_mut(),
            Kind::Rows => self.rows.as_mut(),
        }
    }
}

impl Budget {
    /// The amounts that the constraints give, as a part of `parent`'s.
    pub(crate) fn new(constraints: &Constraints, parent: Option<Arc<Self>>) -> Self {
        let above = |ask: fn(&Self) -> bool| parent.as_deref().is_some_and(ask);
        let bytes = constraints.max_bytes.is_some() || constraints.max_write_bytes.is_some();
        let uses = constraints.max_operations.is_some() || constraints.max_files.is_some();
        Self {
            limits_bytes: bytes || above(|parent| parent.limits_bytes),
            limits_uses: uses || above(|parent| parent.limits_uses),
            counts: Mutex::new(Counts {
                read: constraints.max_bytes,
                write: constraints.max_write_bytes,
                rows: constraints.max_rows,
                operations: constraints.max_operations,
                files: constraints.max_files.map(|most| Files {
                    left: most.min(FILES_MAX),
                    known: HashSet::new(),
                }),
            }),
            parent,
        }
    }

    /// Whether bytes are counted, here or above.
    pub(crate) fn limits_bytes(&self) -> bool {
        self.limits_bytes
    }

    /// Whether operations or files are counted, here or above.
    pub(crate) fn limits_uses(&self) -> bool {
        self.limits_uses
    }

    /// Takes as many of `bytes` from what may be read as are left.
    pub(crate) fn take_read(&self, bytes: u64) -> Result<u64, Limit> {
        if !self.limits_bytes {
            return Ok(bytes);
        }
        let mut lineage = self.lock();
        let left = lineage.iter().filter_map(|counts| counts.read).min();
        let allowed = bytes.min(left.unwrap_or(u64::MAX));
        if allowed == 0 && bytes > 0 {
            return Err(Limit::Bytes);
        }
        for left in lineage.iter_mut().filter_map(|counts| counts.read.as_mut()) {
            *left = left.saturating_sub(allowed);
        }
        Ok(allowed)
    }

    /// Gives bytes back that were taken and not read.
    pub(crate) fn return_read(&self, bytes: u64) {
        for counts in &mut self.lock() {
            if let Some(left) = &mut counts.read {
                *left = left.saturating_add(bytes);
            }
        }
    }

    /// Takes `bytes` from what may be written, in all or not.
    pub(crate) fn take_write(&self, bytes: u64) -> Result<(), Limit> {
        if self.limits_bytes {
            self.take(Kind::Write, bytes).map_err(|_| Limit::WriteBytes)
        } else {
            Ok(())
        }
    }

    /// Gives bytes back that were taken and not written.
    pub(crate) fn return_write(&self, bytes: u64) {
        self.give_back(Kind::Write, bytes);
    }

    /// Takes rows, in all or not; says how many are left when they are fewer.
    pub(crate) fn take_rows(&self, rows: u64) -> Result<(), u64> {
        self.take(Kind::Rows, rows)
    }

    /// Gives rows back that were taken and not appended.
    pub(crate) fn return_rows(&self, rows: u64) {
        self.give_back(Kind::Rows, rows);
    }

    fn take(&self, kind: Kind, amount: u64) -> Result<(), u64> {
        let mut lineage = self.lock();
        let lefts = lineage
            .iter_mut()
            .filter_map(|counts| counts.amount(kind).copied());
        let least = lefts.min().unwrap_or(u64::MAX);
        if least < amount {
            return Err(least);
        }
        for left in lineage.iter_mut().filter_map(|counts| counts.amount(kind)) {
            *left = left.saturating_sub(amount);
        }
        Ok(())
    }

    fn give_back(&self, kind: Kind, amount: u64) {
        for counts in &mut self.lock() {
            if let Some(left) = counts.amount(kind) {
                *left = left.saturating_add(amount);
            }
        }
    }

    /// The bytes that may still be written.
    pub(crate) fn write_left(&self) -> Option<u64> {
        self.lock().iter().filter_map(|counts| counts.write).min()
    }

    /// Takes one operation that touches these objects and makes `new` others.
    pub(crate) fn begin(&self, objects: &[Identity], new: u64) -> Result<(), Limit> {
        if !self.limits_uses {
            return Ok(());
        }
        let mut lineage = self.lock();
        for counts in &lineage {
            if counts.operations == Some(0) {
                return Err(Limit::Operations);
            }
            if let Some(files) = &counts.files
                && files.left < files.unknown(objects).saturating_add(new)
            {
                return Err(Limit::Files);
            }
        }
        for counts in &mut lineage {
            if let Some(left) = &mut counts.operations {
                *left = left.saturating_sub(1);
            }
            if let Some(files) = &mut counts.files {
                let taken = files.unknown(objects).saturating_add(new);
                files.left = files.left.saturating_sub(taken);
                files.known.extend(objects);
            }
        }
        Ok(())
    }

    /// Gives back an operation that had no effect, with the objects that it did not make.
    pub(crate) fn abandon(&self, new: u64) {
        for counts in &mut self.lock() {
            if let Some(left) = &mut counts.operations {
                *left = left.saturating_add(1);
            }
            if let Some(files) = &mut counts.files {
                files.left = files.left.saturating_add(new);
            }
        }
    }

    /// An object that was counted when its making began.
    pub(crate) fn made(&self, object: Identity) {
        for counts in &mut self.lock() {
            if let Some(files) = &mut counts.files {
                files.known.insert(object);
            }
        }
    }

    /// Whether nothing of one of the amounts that an operation needs is left.
    pub(crate) fn is_used_up(&self, reads: bool, writes: bool) -> bool {
        (self.limits_bytes || self.limits_uses)
            && self.lock().iter().any(|counts| {
                counts.operations == Some(0)
                    || reads && counts.read == Some(0)
                    || writes && counts.write == Some(0)
            })
    }

    /// The counts of the lineage, the oldest first.
    fn lock(&self) -> Vec<MutexGuard<'_, Counts>> {
        let mut lineage = vec![self];
        let mut at = self;
        while let Some(parent) = &at.parent {
            lineage.push(parent);
            at = parent;
        }
        let oldest_first = lineage.into_iter().rev();
        oldest_first
            .map(|budget| budget.counts.lock().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }
}

impl Files {
    /// How many of these have not been counted yet.
    fn unknown(&self, objects: &[Identity]) -> u64 {
        let mut unknown = 0_u64;
        for (number, object) in objects.iter().enumerate() {
            let before = objects.get(..number).unwrap_or_default();
            if !self.known.contains(object) && !before.contains(object) {
                unknown = unknown.saturating_add(1);
            }
        }
        unknown
    }
}
