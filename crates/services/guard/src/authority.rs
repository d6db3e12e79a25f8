//! What the view is told: answers from the capabilities that are held, and from the broker where they do not reach.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use valetkey_api::{Problem, ProblemKind};
use valetkey_approval::{FileFacts, FileIdentity};
use valetkey_model::{Action, ActionSet, Constraints, FileKind, Resource, Timestamp};
use valetkey_view::{
    Authority, Facts, Identity, Interrupt, Kinds, Limit, MaskRefusal, Observation, Purpose,
    Verdict, Why,
};

use crate::considered::Considerations;
use crate::desk::{Desk, Wanted};
use crate::holdings::{Held, LOOKING};
use crate::links::Links;
use crate::operation;
use crate::reporter::Reporter;

/// What changes a file.
const CHANGING: ActionSet = ActionSet::of(&[
    Action::Write,
    Action::Append,
    Action::Create,
    Action::Delete,
]);

/// Answers for one session.
#[derive(Debug)]
pub(crate) struct SessionAuthority {
    desk: Arc<Desk>,
    reporter: Reporter,
    links: Links,
    considered: Considerations,
}

impl SessionAuthority {
    /// `home` is the person's, where names of files are looked for.
    pub(crate) fn new(desk: Arc<Desk>, reporter: Reporter, home: PathBuf) -> Self {
        Self {
            desk,
            reporter,
            links: Links::new(home),
            considered: Considerations::default(),
        }
    }

    /// A capability under which an open needs no word with the broker first: its opens may be recorded as they stream, and it is
    /// good for more than one.
    fn at_once(&self, path: &Path, wanted: ActionSet) -> Option<Arc<Held>> {
        self.desk.holdings.at_once(path, wanted)
    }

    /// An open under a capability whose uses must be recorded, or counted, before their effect.
    fn recorded_first(&self, path: &Path, wanted: ActionSet, facts: &Facts) -> Option<Arc<Held>> {
        let held = self.desk.holdings.best_for(path, wanted, |_| true)?;
        let is_used = self.record_use(&held, path, wanted, Some(&file_facts(facts)));
        is_used.then_some(held)
    }

    fn record_use(
        &self,
        held: &Arc<Held>,
        path: &Path,
        wanted: ActionSet,
        now: Option<&FileFacts>,
    ) -> bool {
        // What people approved is what they were shown: the first use is of that, or of nothing.
        if !LOOKING.allows_all(wanted)
            && let Err(problem) = self.desk.first_use(held, now)
        {
            if let Ok(resource) = Resource::file(path) {
                self.desk.refuse(resource, wanted, problem);
            }
            return false;
        }
        // Under a limit that leaves nothing there is no use to be recorded: it is refused when it begins.
        if held.opens_at_once() || LOOKING.allows_all(wanted) || held.is_used_up(wanted) {
            return true;
        }
        if held.constraints().is_single_use() {
            return held.spend()
                && self
                    .desk
                    .use_up(held, &format!("open for {wanted}"))
                    .is_ok();
        }
        // A program is recorded by its content, so it is looked at before; when it is opened it is looked at again.
        if let Some(pin) = held.pin()
            && !pin.holds_at(path)
        {
            let resource = held.capability().resource.clone();
            self.desk.refuse(resource, wanted, limited(Limit::Digest));
            return false;
        }
        let Ok(resource) = Resource::file(path) else {
            return false;
        };
        let mut report = operation::done(
            self.desk.holdings.now(),
            resource,
            wanted,
            &held.id(),
            "open",
        );
        report.file_hash = held.pin().map(crate::programs::Pin::digest);
        self.desk.record(report).is_ok()
    }

    /// Tells the agent of what a quiet tree does not give: each name once, since nobody is asked from within a system call there, and the
    /// kernel refuses by itself what the bits of the name do not allow.
    fn tell_quiet(
        &self,
        resource: Resource,
        wanted: ActionSet,
        problem: Problem,
        purpose: Purpose,
        visible: bool,
    ) {
        // A look at what is not to be seen is no refusal worth telling; what could be asked for is.
        let is_told = purpose != Purpose::Lookup || problem.requestable || visible;
        if !is_told {
            return;
        }
        let problem = if problem.requestable {
            problem.hinted(true, IN_A_QUIET_TREE)
        } else {
            problem
        };
        self.desk.refuse(resource, wanted, problem);
    }

    /// Tells that no more than reading is given of a name that was taken out of a quiet tree.
    fn tell_read_only(&self, resource: Resource, wanted: ActionSet) {
        let changes = !CHANGING.intersection(wanted).is_empty();
        if changes || LOOKING.allows_all(wanted) {
            return;
        }
        let problem = Problem::new(ProblemKind::Denied, READ_ONLY).hinted(true, IN_A_QUIET_TREE);
        let changing = ActionSet::of(&[Action::Write]);
        self.desk.refuse(resource, changing, problem);
    }

    fn visible(&self, path: &Path) -> bool {
        self.desk
            .holdings
            .find_for(path, |held| held.speaks_of(path))
            .is_some()
    }
}

impl Authority for SessionAuthority {
    fn check(&self, path: &Path, wanted: ActionSet) -> Verdict {
        // Nothing that could not be recorded is opened; looking at what is granted goes on.
        if !LOOKING.allows_all(wanted) && !self.desk.link.is_up() {
            return Verdict::Refused {
                visible: self.visible(path),
            };
        }
        match self.at_once(path, wanted) {
            Some(held) => Verdict::Permitted(held),
            None => Verdict::Unknown,
        }
    }

    fn resolve(
        &self,
        path: &Path,
        wanted: ActionSet,
        facts: &Facts,
        why: Why,
        interrupt: &Interrupt,
    ) -> Verdict {
        if !self.desk.link.is_up() {
            return Verdict::Refused {
                visible: self.visible(path),
            };
        }
        if let Some(held) = self.recorded_first(path, wanted, facts) {
            return Verdict::Permitted(held);
        }
        // What was granted by its content is not asked for as any other file because it changed.
        if self
            .desk
            .holdings
            .find_for(path, |held| held.is_another_program(path, wanted))
            .is_some()
        {
            return Verdict::Refused { visible: true };
        }
        let Ok(resource) = Resource::file(path) else {
            return Verdict::Refused { visible: false };
        };
        let wanted_access = Wanted {
            resource,
            actions: wanted,
            constraints: Constraints::default(),
            justification: None,
            file: Some(file_facts(facts)),
            change: None,
            may_ask: why.may_ask && why.purpose != Purpose::Lookup,
        };
        let asked = wanted_access.resource.clone();
        let answer = self
            .desk
            .ask_and_wait(wanted_access, || !interrupt.is_raised());
        match answer {
            // People took their time: what was seen of the file before they were asked is not looked at again.
            Ok(held)
                if held.permits_path(path, wanted)
                    && self.record_use(&held, path, wanted, again(path).as_ref()) =>
            {
                if !why.may_ask {
                    self.tell_read_only(asked, wanted);
                }
                Verdict::Permitted(held)
            }
            Ok(_) => Verdict::Refused {
                visible: self.visible(path),
            },
            Err(problem) => {
                let visible = self.visible(path);
                if !why.may_ask {
                    self.tell_quiet(asked, wanted, problem, why.purpose, visible);
                }
                Verdict::Refused { visible }
            }
        }
    }

    fn covers_tree(&self, path: &Path, wanted: ActionSet) -> bool {
        self.desk.holdings.masks().leave_tree(path)
            && self
                .desk
                .holdings
                .find_for(path, |held| held.permits_tree(path, wanted))
                .is_some()
    }

    fn names(&self, object: Identity, anew: bool) -> Vec<PathBuf> {
        self.links.names(object, anew, || {
            let live = self.desk.holdings.live();
            let patterns = live.iter().filter_map(|held| held.pattern());
            patterns
                .filter(|pattern| !pattern.is_literal())
                .map(valetkey_model::PathPattern::literal_prefix)
                .collect()
        })
    }

    fn forbids(&self, path: &Path, wanted: ActionSet, may_wait: bool) -> Option<bool> {
        let holdings = &self.desk.holdings;
        let permits = |held: &Held| held.permits_path(path, wanted);
        if holdings.find_for(path, permits).is_some() {
            return Some(false);
        }
        if holdings.find(|held| held.takes_out(path)).is_some() {
            return Some(true);
        }
        // Another name that no capability speaks of: a secret may lie there, or a file that runs later.
        let consider = may_wait.then_some(|| {
            let considered = self.desk.consider(path, wanted).ok()?;
            Some(considered.forbids(!CHANGING.intersection(wanted).is_empty()))
        });
        self.considered.forbids(path, wanted, consider)
    }

    fn trusts(&self, path: &Path, wanted: ActionSet) -> bool {
        let by_name = |held: &Held| held.is_of_this_file() && held.permits_path(path, wanted);
        self.desk.holdings.find_for(path, by_name).is_some()
    }

    fn redacts(&self, path: &Path) -> Kinds {
        self.desk.holdings.masks().at(path)
    }

    fn report(&self, observation: Observation) {
        if let Observation::Masked { path, wanted, why } = &observation
            && let Ok(resource) = Resource::file(path)
        {
            self.desk.refuse(resource, *wanted, masked(*why));
        }
        if let Observation::ManyNames { path, wanted } = &observation
            && let Ok(resource) = Resource::file(path)
        {
            let problem = Problem::new(ProblemKind::Denied, MANY_NAMES).hinted(
                true,
                "ask for this file alone, or have the trees granted in which its other names are",
            );
            self.desk.refuse(resource, *wanted, problem);
        }
        if let Observation::Limited {
            path,
            wanted,
            limit,
        } = &observation
            && let Ok(resource) = Resource::file(path)
        {
            self.desk.refuse(resource, *wanted, limited(*limit));
        }
        self.reporter.observe(observation);
    }
}

fn again(path: &Path) -> Option<FileFacts> {
    crate::facts::again(&Resource::file(path).ok()?)
}
/// What the agent is told of a name that a quiet tree does not give.
const IN_A_QUIET_TREE: &str =
    "this tree is quiet, where no system call waits for an answer: ask for it with `valetkey ask`";
const READ_ONLY: &str =
    "this name is taken out of the tree, and policy gives no more than reading it without asking";
/// What the agent is told of a file that a rule may forbid by another name. It is not told where that name is.
const MANY_NAMES: &str =
    "the file has several names: a rule forbids one of them, or they cannot all be found";

/// What the agent is told where something was refused for the sake of what is masked in a file.
fn masked(why: MaskRefusal) -> Problem {
    Problem::new(ProblemKind::Constraint, mask_words(why)).hinted(
        true,
        "leave what is masked (`XXXX`) as it is, or have the person change the file",
    )
}

/// The same in one line, for the log too.
pub(crate) fn mask_words(why: MaskRefusal) -> &'static str {
    match why {
        MaskRefusal::Destroys => "redact: it would destroy something in the file that is masked",
        MaskRefusal::Uncovers => {
            "redact: it would bring something that is masked to where it could be seen"
        }
        MaskRefusal::Opaque => {
            "redact: the content is compressed or encrypted and cannot be masked"
        }
        MaskRefusal::TooLong => "redact: the file is too long to be masked",
        MaskRefusal::Unclear => "redact: what was written cannot be compared with what was shown",
        MaskRefusal::Names => {
            "redact: the file has further names, which would keep what it was; it is not written"
        }
        MaskRefusal::Changed => {
            "redact: somebody else has changed the file since it was opened; read it again"
        }
    }
}

/// What the agent is told of a limit that was reached.
pub(crate) fn limited(limit: Limit) -> Problem {
    let detail = match limit {
        Limit::Bytes => "max_bytes: all bytes that may be read have been read",
        Limit::WriteBytes => "max_write_bytes: fewer bytes may be written than this writes",
        Limit::Operations => "max_operations: all operations that may be made have been made",
        Limit::Files => "max_files: as many distinct files as may be touched have been touched",
        Limit::Rows => "max_rows: fewer rows may be appended than this appends",
        Limit::Digest => "the program is not the one that was granted: its content changed",
        Limit::MediaType => {
            "media_types: name and content do not agree on a media type that is given"
        }
    };
    Problem::new(ProblemKind::Constraint, detail)
        .hinted(true, "ask for a new capability at POST /v1/requests")
}

/// The facts as the broker and the person see them.
pub(crate) fn file_facts(facts: &Facts) -> FileFacts {
    let is_there = facts.kind != FileKind::Absent;
    FileFacts {
        kind: facts.kind,
        size: facts.size,
        owner: facts.uid,
        mode: facts.mode & 0o7777,
        links: facts.nlink,
        modified: time(facts.mtime),
        changed: is_there.then(|| time(facts.ctime)),
        identity: is_there.then(|| FileIdentity::new(facts.dev, facts.ino)),
    }
}

fn time((seconds, nanoseconds): (i64, u32)) -> Timestamp {
    let ms = u64::try_from(seconds)
        .unwrap_or(0)
        .saturating_mul(1000)
        .saturating_add(u64::from(nanoseconds / 1_000_000));
    Timestamp::from_unix_ms(ms)
}
