//! Typed operations on documents: the capability is checked here, the document is touched by a disposable confined worker, and the
//! file changes in one step or not at all.

use std::fs::File;
use std::io::{self, Seek as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use valetkey_api::{DocumentOperation, OperationDone, Problem, ProblemKind};
use valetkey_approval::{ChangeLine, ChangeSummary, ChangeUnit};
use valetkey_model::{Action, ActionSet, CapabilityId, Constraints, Digest, Resource};
use valetkey_sheet::{AppendRows, Ceilings, Cell, Limits};
use valetkey_view::{Content, Keeper, Permit as _, Purpose, Touched, Use};

use crate::authority::limited;
use crate::desk::{Desk, Wanted};
use crate::holdings::{End, Held};
use crate::link::sibling;
use crate::operation;
use crate::replacement::{NewFile, Opened};

/// What appending rows needs.
const APPEND: ActionSet = ActionSet::of(&[Action::Append]);
/// How long a worker may take.
const WORKER_TIME: Duration = Duration::from_secs(20);
/// The name of the operation, in the log and for the agent.
const APPEND_ROWS: &str = "sheet.append_rows";

/// Carries out document operations for one session.
#[derive(Debug)]
pub(crate) struct Documents {
    desk: Arc<Desk>,
    /// Places that no operation may reach.
    hidden: Vec<PathBuf>,
    /// What keeps each change, so that it can be undone.
    keeper: Option<Arc<dyn Keeper>>,
    /// One document operation at a time: two on one file would undo each other.
    turn: std::sync::Mutex<()>,
}

/// What one append is about.
struct Append {
    resource: Resource,
    sheet: String,
    rows: Vec<Vec<Cell>>,
    capability_id: Option<CapabilityId>,
    justification: Option<String>,
}

impl Append {
    /// The rows as a person is shown them, cell by cell. The prompt makes them safe, and bounds them.
    fn summary(&self) -> ChangeSummary {
        let count = u64::try_from(self.rows.len()).unwrap_or(u64::MAX);
        let text = |cell: &Cell| match cell {
            Cell::Null => String::new(),
            Cell::Bool(value) => value.to_string(),
            Cell::Number(value) => value.to_string(),
            Cell::Text(text) => format!("{text:?}"),
        };
        let rows = self.rows.iter().map(|row| {
            let cells: Vec<String> = row.iter().map(text).collect();
            ChangeLine::Added(cells.join(" | "))
        });
        let sheet = ChangeLine::Kept(format!("sheet {:?}", self.sheet));
        let lines = std::iter::once(sheet).chain(rows);
        // The right that is asked for is one to append, not one to append these: so their digest is not named.
        ChangeSummary::new(ChangeUnit::Rows, count, 0, lines, None)
    }
}

impl Documents {
    pub(crate) fn new(
        desk: Arc<Desk>,
        hidden: Vec<PathBuf>,
        keeper: Option<Arc<dyn Keeper>>,
    ) -> Self {
        Self {
            desk,
            hidden,
            keeper,
            turn: std::sync::Mutex::default(),
        }
    }

    /// Carries out an operation.
    ///
    /// # Errors
    /// The refusal; the file is as it was.
    pub(crate) fn perform(&self, operation: DocumentOperation) -> Result<OperationDone, Problem> {
        let DocumentOperation::AppendRows {
            resource,
            sheet,
            rows,
            capability_id,
            justification,
        } = operation;
        let rows = rows
            .into_iter()
            .map(|row| row.into_iter().map(cell).collect())
            .collect::<Result<Vec<Vec<Cell>>, Problem>>()?;
        let append = Append {
            resource,
            sheet,
            rows,
            capability_id,
            justification,
        };
        let mut used = None;
        let result = self.append(&append, &mut used);
        if let Err(problem) = &result {
            self.desk
                .refuse(append.resource.clone(), APPEND, problem.clone());
            let now = self.desk.holdings.now();
            let report = operation::refused(
                now,
                append.resource,
                APPEND,
                used.as_ref(),
                APPEND_ROWS,
                problem,
            );
            // The refusal stands whether or not it could be recorded.
            drop(self.desk.record(report));
        }
        result
    }

    fn append(
        &self,
        append: &Append,
        used: &mut Option<CapabilityId>,
    ) -> Result<OperationDone, Problem> {
        let started = Instant::now();
        let workbook = self.open(&append.resource)?;
        let held = self.capability(append, &workbook)?;
        self.desk
            .first_use(&held, crate::facts::again(&append.resource).as_ref())?;
        *used = Some(held.id());
        let _turn = self
            .turn
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = u64::try_from(append.rows.len()).unwrap_or(u64::MAX);
        held.take_rows(count).map_err(|left| {
            constraint(format!(
                "max_rows: {count} rows were asked for and {left} are left"
            ))
        })?;
        let written = self.count(&held, &workbook).and_then(|()| {
            let written = self.write(append, &held, &workbook);
            if written.is_err() {
                held.abandon(0);
            }
            written
        });
        if written.is_err() {
            held.return_rows(count);
        }
        let (report, file_hash) = written?;
        let mut event = operation::done(
            self.desk.holdings.now(),
            append.resource.clone(),
            APPEND,
            &held.id(),
            APPEND_ROWS,
        );
        event.rows = count;
        event.bytes_written = report.bytes_written;
        event.file_hash = Some(file_hash);
        event.duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.desk.record(event)?;
        let report = serde_json::to_value(&report).unwrap_or_default();
        Ok(OperationDone {
            capability_id: held.id(),
            report,
        })
    }

    /// Counts the operation and the file, and looks at what the file is.
    fn count(&self, held: &Held, workbook: &Opened) -> Result<(), Problem> {
        let identity =
            valetkey_view::identity(workbook.file.as_fd()).map_err(|error| disk(&error))?;
        let touched = [Touched {
            path: &workbook.path,
            object: Some(identity),
            content: Content::Read(workbook.file.as_fd()),
        }];
        let usage = Use {
            purpose: Purpose::Change,
            touched: &touched,
        };
        held.begin(&usage).map_err(limited)
    }

    /// The capability to use: the one that is named, one that is held, or one that is asked for now.
    fn capability(&self, append: &Append, workbook: &Opened) -> Result<Arc<Held>, Problem> {
        let fits = |held: &Held| held.permits(&append.resource, APPEND);
        if let Some(id) = &append.capability_id {
            return self
                .desk
                .holdings
                .find(|held| held.id() == *id && fits(held))
                .ok_or_else(|| {
                    let words = self.desk.holdings.how_ended(id).map_or(
                        "no capability of that id covers appending to this file",
                        End::words,
                    );
                    Problem::new(ProblemKind::Capability, words)
                        .hinted(true, "ask for a new one at POST /v1/requests")
                });
        }
        if let Some(held) = self.desk.holdings.find(fits) {
            return Ok(held);
        }
        let wanted = Wanted {
            resource: append.resource.clone(),
            actions: APPEND,
            constraints: Constraints::default(),
            justification: append.justification.clone(),
            file: Some(crate::facts::of_stat(&workbook.stat)),
            change: Some(append.summary()),
            may_ask: true,
        };
        self.desk.ask_and_wait(wanted, || true)
    }

    fn open(&self, resource: &Resource) -> Result<Opened, Problem> {
        let pattern = resource.as_file().filter(|pattern| pattern.is_literal());
        let path = pattern
            .map(valetkey_model::PathPattern::literal_prefix)
            .ok_or_else(|| {
                Problem::new(ProblemKind::Invalid, "a document operation names one file")
            })?;
        let absent = || {
            Problem::new(
                ProblemKind::NotFound,
                "there is no such file, or it is not a regular one",
            )
        };
        if self.hidden.iter().any(|hidden| path.starts_with(hidden)) {
            return Err(absent());
        }
        let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(absent)?;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = openat2(
            CWD,
            parent,
            flags | OFlags::DIRECTORY | OFlags::RDONLY,
            Mode::empty(),
            resolve,
        )
        .map_err(|_| absent())?;
        let file = openat2(
            &directory,
            name,
            flags | OFlags::RDONLY | OFlags::NONBLOCK,
            Mode::empty(),
            resolve | ResolveFlags::BENEATH,
        )
        .map_err(|_| absent())?;
        let stat = fstat(&file).map_err(|_| absent())?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return Err(absent());
        }
        // It is replaced whole, so another name would keep the old content; and a rule may forbid that name.
        if stat.st_nlink > 1 {
            return Err(Problem::new(
                ProblemKind::Denied,
                "the document has several names: a document operation would part them",
            )
            .hinted(false, "copy it, and use the copy"));
        }
        let name = name.to_owned();
        Ok(Opened {
            path,
            directory,
            name,
            file: file.into(),
            stat,
        })
    }

    /// Has the worker write the new workbook, uses the capability, and puts the new file in place of the old.
    fn write(
        &self,
        append: &Append,
        held: &Held,
        workbook: &Opened,
    ) -> Result<(valetkey_sheet::AppendReport, Digest), Problem> {
        let new = NewFile::beside(workbook, self.keeper.as_ref()).map_err(|error| disk(&error))?;
        let job = AppendRows {
            sheet: append.sheet.clone(),
            rows: append.rows.clone(),
            limits: Limits {
                // Its rows have been taken from what is left; the worker holds it to no more than these.
                max_rows: held.constraints().max_rows,
                max_write_bytes: held.write_left(),
                allow_macros: held.constraints().allow_macros == Some(true),
                ceilings: Ceilings::default(),
            },
        };
        let input = workbook.file.try_clone().map_err(|error| disk(&error))?;
        let output = new.file.try_clone().map_err(|error| disk(&error))?;
        let report = valetkey_sheet::worker::run_worker(
            &sibling("valetkey-sheet"),
            input,
            output,
            &job,
            WORKER_TIME,
        )
        .map_err(|error| {
            Problem::new(
                ProblemKind::Constraint,
                format!("{} ({})", error, error.kind()),
            )
        })?;
        new.take_after().map_err(|error| disk(&error))?;
        let file_hash = digest(&new.file).map_err(|error| disk(&error))?;
        // The last look before the effect: still live, still the same file, and the use is durable.
        if !held.permits(&append.resource, APPEND) {
            return Err(Problem::new(
                ProblemKind::Capability,
                "the capability ended while the work was done",
            ));
        }
        workbook.unchanged()?;
        held.take_write(report.bytes_written).map_err(limited)?;
        let put = self.put(held, new);
        if put.is_err() {
            held.return_write(report.bytes_written);
        }
        put?;
        Ok((report, file_hash))
    }

    /// Uses the capability, durably, and puts the new file in place of the old.
    fn put(&self, held: &Held, new: NewFile<'_>) -> Result<(), Problem> {
        let identity = valetkey_view::identity(new.file.as_fd()).map_err(|error| disk(&error))?;
        self.desk.use_up(held, APPEND_ROWS)?;
        if held.constraints().is_single_use() {
            let ended = self
                .desk
                .holdings
                .end(End::UsedUp, |other| other.id() == held.id());
            self.desk.forget(&ended);
        }
        new.replace().map_err(|error| disk(&error))?;
        // To whoever counts files the new one is the old one.
        held.made(identity);
        Ok(())
    }
}

fn digest(file: &File) -> io::Result<Digest> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(Digest::of(&bytes))
}

fn cell(value: serde_json::Value) -> Result<Cell, Problem> {
    let invalid = |what: String| Problem::new(ProblemKind::Invalid, what);
    serde_json::from_value(value).map_err(|error| {
        invalid(format!(
            "a cell is null, a boolean, a number or text: {error}"
        ))
    })
}

fn constraint(detail: String) -> Problem {
    Problem::new(ProblemKind::Constraint, detail)
        .hinted(true, "ask for less, or for a new capability")
}

fn disk(error: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("the file could not be written: {error}"),
    )
    .hinted(
        false,
        "the file is as it was; free space or check its permissions",
    )
}
