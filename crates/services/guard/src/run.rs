//! Running a command in a cell: build, serve, run, report, close.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use valetkey_api::{
    BundleFile, Client, CloseSession, Enforcement, Granted, OpenSession, Paths, SessionOpened,
    StartGrant,
};
use valetkey_model::{AgentId, Grant, Level, Resource};
use valetkey_sandbox::{AskedLimit, Beginning, Cell, CellSpec, Event, mount_points, root_links};
use valetkey_sys::signals::{signal_descriptor, take_signal};
use valetkey_view::{Connection, IdMap, SkeletonEntry, SkeletonKind, ViewConfig, ViewHandle};

use crate::authority::SessionAuthority;
use crate::brought::{bring_program, shown_through};
use crate::bus;
use crate::command::{self, Found};
use crate::desk::{Desk, problem_of};
use crate::doors::Doors;
use crate::environment;
use crate::error::RunError;
use crate::holdings::Holdings;
use crate::keeping::UndoSpec;
use crate::keyring::KeyRing;
use crate::level::Reached;
use crate::link::{Link, connect_or_start};
use crate::network;
use crate::notice::Notices;
use crate::programs;
use crate::prompt::{Overlay, Prepared};
use crate::quiet;
use crate::reporter::Reporter;
use crate::staging;
use crate::terminal::{self, RawMode, Relays};
use crate::watch;

/// Threads that serve the view; opens that wait for people have threads of their own.
const SERVING_THREADS: usize = 2;
/// How long the end of a session waits for the ends of its connections: their other side has gone with the cell.
const CONNECTIONS_END: Duration = Duration::from_millis(500);
/// What the agent can read in its cell about how to ask.
const README: &str = include_str!("../cell-readme.md");
/// Signals that are passed on to the agent.
const FORWARDED: [i32; 6] = [
    Signal::INT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::USR1.as_raw(),
    Signal::USR2.as_raw(),
];

/// What to run, and with what.
#[derive(Clone, Debug, Default)]
pub struct RunSpec {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// What the agent is known as; its command's name otherwise.
    pub agent: Option<String>,
    /// The tree to work in.
    pub workspace: Option<PathBuf>,
    /// What else the person grants.
    pub grants: Vec<StartGrant>,
    /// A policy bundle, as its files.
    pub policy: Option<Vec<BundleFile>>,
    /// What the session is for.
    pub purpose: Option<String>,
    /// The level of enforcement below which nothing starts.
    pub require: Option<Level>,
    /// What the cell may take of the machine, in place of what is usual.
    pub limits: Vec<AskedLimit>,
    /// The only commands of the system that are executed; all of them where there is none.
    pub commands: Vec<String>,
    /// Names of variables that pass into the cell beside the usual ones.
    pub environment: Vec<String>,
    /// Questions are not shown over the agent's terminal; a line says that they wait.
    pub no_prompt: bool,
    /// Trees that policy lets be quiet are: see [`crate::quiet`].
    pub quiet: bool,
    /// Nobody is there to answer: what people would be asked is refused at once.
    pub unattended: bool,
    /// Words before the command in the cell: a program that prepares its place there and becomes it. What is known as the agent is the command.
    pub starter: Vec<OsString>,
    /// Variables that are set in the cell.
    pub variables: Vec<(String, OsString)>,
    /// Directories in which the command finds programs, before those of the person's own path.
    pub search: Vec<PathBuf>,
    /// Where what the agent changes is kept; nowhere, and nothing can be undone.
    pub undo: Option<UndoSpec>,
    /// Where what the agent changes is held back until the person takes it; otherwise it is changed at once.
    pub stage: Option<PathBuf>,
}

/// Runs a command in a cell and returns its exit status, 128 and the signal's number if one ended it.
///
/// The process must have one thread: the cell's first process is forked from it.
///
/// # Errors
/// When the session did not begin; the command has not run then.
pub fn run(spec: &RunSpec, paths: &Paths) -> Result<u8, RunError> {
    let plan = Plan::make(spec, paths)?;
    let client = connect_or_start(&paths.guard_socket(), paths)?;
    // Forked before the session's tokens are in memory: the cell's first process starts as a copy of this one.
    let beginning = Cell::begin(&plan.cell)?;
    let reached = Reached::new(&beginning.foresight, paths.mode);
    reached.suffices(spec.require)?;
    let enforcement = reached.told(&beginning.foresight, plan.cell.commands.as_ref());
    let session = Session::open(client, &plan, enforcement, paths)?;
    let result = session.serve(beginning, &plan);
    let status = result.as_ref().copied().unwrap_or(1);
    session.close(status);
    result
}

/// Everything that is known before anything is started.
struct Plan {
    cell: CellSpec,
    agent: Found,
    workspace: Option<Resource>,
    grants: Vec<StartGrant>,
    policy: Option<Vec<BundleFile>>,
    purpose: Option<String>,
    hidden: Vec<PathBuf>,
    prompt: bool,
    paths: Paths,
    quiet: bool,
    undo: Option<UndoSpec>,
    unattended: bool,
    stage: Option<PathBuf>,
}

impl Plan {
    fn make(spec: &RunSpec, paths: &Paths) -> Result<Self, RunError> {
        let system = |what: &'static str| move |source| RunError::System { what, source };
        let cwd = std::env::current_dir().map_err(system("find the working directory"))?;
        let mut cell = CellSpec::new(spec.command.clone());
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .filter(|home| home.is_absolute());
        cell.home = home.unwrap_or(cell.home);
        for asked in &spec.limits {
            cell.limits.set(*asked);
        }
        cell.env = environment_of(spec, &cell, &cwd);
        // The command is found as the person's shell would find it; what it finds itself is another matter.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = spec
            .command
            .first()
            .ok_or_else(|| RunError::NoCommand(PathBuf::new()))?;
        let mut agent = command::find(program, &path, &cwd)?;
        if let Some(name) = &spec.agent {
            agent.agent = AgentId::sanitised(name);
        }
        let started = programs::all_pinned(&spec.grants)
            .map_err(system("look at a program that is granted"))?;
        let grants: Vec<Grant> = started.iter().map(|start| start.grant.clone()).collect();
        let workspace = match &spec.workspace {
            None => None,
            Some(path) => {
                let real = std::fs::canonicalize(path).map_err(system("use the workspace"))?;
                let tree = Resource::tree(&real);
                Some(tree.map_err(|error| {
                    system("use the workspace")(io::Error::other(error.to_string()))
                })?)
            }
        };
        cell.commands = command::narrowed(&spec.commands, &agent, &path, &cell.system_dirs)?;
        bring_program(&mut cell, &agent.path, workspace.as_ref(), &grants);
        cell.command.splice(0..0, spec.starter.iter().cloned());
        cell.local_ports = network::local_ports(grants.iter().map(|grant| &grant.resource));
        cell.shown_through = shown_through(&cwd, workspace.as_ref(), &grants);
        cell.quiet_mounts = quiet::candidates(&cell, workspace.as_ref(), &grants);
        cell.cwd = cwd;
        cell.stdio = terminal::stdio();
        cell.terminal = terminal::shape();
        cell.readme = README.to_owned();
        bus::bring(&mut cell, &grants);
        if let Ok(own) = std::env::current_exe() {
            let server = own.with_file_name("valetkey-mcp");
            cell.asking_programs = vec![("valetkey", own), ("valetkey-mcp", server)];
        }
        Ok(Self {
            cell,
            agent,
            workspace,
            grants: started,
            policy: spec.policy.clone(),
            purpose: spec.purpose.clone(),
            hidden: hidden(paths),
            prompt: !spec.no_prompt,
            paths: paths.clone(),
            quiet: spec.quiet,
            undo: spec.undo.clone(),
            unattended: spec.unattended,
            stage: spec.stage.clone(),
        })
    }

    fn view(&self, quiet: &[PathBuf]) -> ViewConfig {
        let own_gids = std::iter::once(self.cell.gid)
            .chain(
                rustix::process::getgroups()
                    .unwrap_or_default()
                    .iter()
                    .map(|group| group.as_raw()),
            )
            .collect();
        let mut config =
            ViewConfig::new(PathBuf::from("/"), IdMap::to_root(self.cell.uid, own_gids));
        config.hidden = self.hidden.clone();
        let directory = |path: PathBuf| SkeletonEntry {
            path,
            kind: SkeletonKind::Directory,
        };
        let mounted_over = |path: PathBuf| {
            let kind = if path.is_dir() {
                SkeletonKind::Directory
            } else {
                SkeletonKind::File
            };
            SkeletonEntry { path, kind }
        };
        let mounted = CellSpec {
            quiet_mounts: quiet.to_vec(),
            ..self.cell.clone()
        };
        config.skeleton = mount_points(&mounted)
            .into_iter()
            .map(mounted_over)
            .collect();
        // Links beside the system directories, the place the command starts in, and the home: empty until something there is granted.
        config
            .skeleton
            .extend(
                root_links(&self.cell)
                    .into_iter()
                    .map(|(path, target)| SkeletonEntry {
                        path,
                        kind: SkeletonKind::Symlink(target),
                    }),
            );
        for place in [&self.cell.cwd, &self.cell.home] {
            if place.parent().is_some() {
                config.skeleton.push(directory(place.clone()));
            }
        }
        config
    }
}

/// The agent's environment: of the person's own, what may pass.
fn environment_of(spec: &RunSpec, cell: &CellSpec, cwd: &Path) -> Vec<(OsString, OsString)> {
    let own: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let in_cell = |dir: &Path| {
        let granted = |start: &StartGrant| {
            let pattern = start.grant.resource.as_path();
            pattern.is_some_and(|pattern| pattern.matches(dir))
        };
        let workspace = spec.workspace.as_ref();
        cell.system_dirs.iter().any(|own| dir.starts_with(own))
            || workspace.is_some_and(|workspace| dir.starts_with(workspace))
            || spec.grants.iter().any(granted)
    };
    environment::build(&environment::Wanted {
        own: &own,
        further: &spec.environment,
        variables: &spec.variables,
        search: &spec.search,
        home: &cell.home,
        user: &cell.user_name,
        cwd,
        in_cell: &in_cell,
    })
}

/// Valetkey's own directories, wherever links lead to them.
fn hidden(paths: &Paths) -> Vec<PathBuf> {
    let all = paths.all();
    all.iter()
        .map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
        .collect()
}

/// An open session.
struct Session {
    desk: Arc<Desk>,
    link: Arc<Link>,
    /// Trees that are served quietly.
    quiet: Vec<PathBuf>,
}

impl Session {
    fn open(
        mut client: Client,
        plan: &Plan,
        enforcement: Enforcement,
        paths: &Paths,
    ) -> Result<Self, RunError> {
        let open = OpenSession {
            agent: plan.agent.agent.clone(),
            agent_digest: plan.agent.digest,
            purpose: plan.purpose.clone(),
            workspace: plan.workspace.clone(),
            grants: plan.grants.clone(),
            policy: plan.policy.clone(),
            enforcement: Some(enforcement),
        };
        let opened: SessionOpened = client
            .post("/v1/sessions", &open)
            .map_err(|error| RunError::Refused(Box::new(problem_of(&error))))?;
        let unusable = |_| {
            RunError::Refused(Box::new(valetkey_api::Problem::new(
                valetkey_api::ProblemKind::Invalid,
                "the broker's keys are not usable",
            )))
        };
        let keys = KeyRing::new(opened.keys, opened.session.clone()).map_err(unusable)?;
        let holdings = Arc::new(Holdings::new(keys));
        let link = Arc::new(Link::new(paths.guard_socket(), client));
        let desk = Arc::new(Desk::new(
            Arc::clone(&link),
            holdings,
            opened.session,
            Notices::new(),
            plan.unattended,
        ));
        let mut session = Self {
            desk,
            link,
            quiet: Vec::new(),
        };
        // The workspace is a place to work in: where policy does not give it whole, its files are decided one by one.
        let granted_by_name = |refused: &valetkey_api::RefusedGrant| {
            Some(&refused.resource) != plan.workspace.as_ref()
        };
        if let Some(refused) = opened.refused.into_iter().find(granted_by_name) {
            session.close(1);
            return Err(RunError::GrantRefused {
                resource: refused.resource.to_string(),
                actions: refused.actions.to_string(),
                problem: Box::new(refused.problem),
            });
        }
        session.hold_start(&opened.granted, plan)?;
        let trees = quiet::chosen(&plan.cell.quiet_mounts, &opened.granted, plan.quiet);
        session.quiet = quiet::recorded(&session.desk, trees);
        Ok(session)
    }

    /// Holds what was given at the start. What was granted for a time ends with it; all else lasts as long as the session.
    fn hold_start(&self, granted: &[Granted], plan: &Plan) -> Result<(), RunError> {
        for granted in granted {
            let for_a_time = plan.grants.iter().any(|start| {
                start.ttl_seconds.is_some() && start.grant.resource == granted.capability.resource
            });
            let held = if for_a_time {
                self.desk.hold(granted).map(drop)
            } else {
                self.desk.hold_on(granted)
            };
            held.map_err(|problem| RunError::Refused(Box::new(problem)))?;
        }
        Ok(())
    }

    fn serve(&self, beginning: Beginning, plan: &Plan) -> Result<u8, RunError> {
        let system = |what: &'static str| move |source| RunError::System { what, source };
        // Before there are threads: a child makes the layers.
        let staged = self.stage(plan)?;
        // Blocked before there are threads, so that every thread leaves them to the loop below.
        let signals = signal_descriptor(&watched_signals()).map_err(system("hear signals"))?;
        let desk = &self.desk;
        let (reporter, reporting) = Reporter::start(
            Arc::clone(&self.link),
            Arc::clone(&desk.holdings),
            desk.session.clone(),
        )
        .map_err(system("start a thread"))?;
        let authority = Arc::new(SessionAuthority::new(
            Arc::clone(desk),
            reporter.clone(),
            plan.cell.home.clone(),
        ));
        let config = plan.view(&self.quiet);
        let shown = staging::view(config, plan.undo.as_ref(), desk, authority, staged)?;
        let view = shown.view;
        let mut launching = beginning.mounted()?;
        let fuse = launching
            .view_fuse
            .take()
            .ok_or_else(|| RunError::View("the cell has no root".to_owned()))?;
        let served: ViewHandle = view
            .serve(fuse, Vec::new(), Connection::Watched, SERVING_THREADS)
            .map_err(|error| RunError::View(error.to_string()))?;
        let quiet = quiet::serve(&view, &plan.cell.quiet_mounts, &mut launching, &self.quiet)?;
        desk.watch_view(view.clone());
        for held in desk.holdings.live() {
            if let Some(pattern) = held.pattern() {
                view.notify_granted(&pattern.literal_prefix());
            }
        }
        watch::start(desk).map_err(system("start a thread"))?;
        // The session's words are on the screen before there is an agent.
        let prepared = plan
            .cell
            .terminal
            .as_ref()
            .filter(|_| plan.prompt)
            .and_then(|_| Prepared::new());
        let mut cell = launching.prepare()?.start()?;
        if let Some(listener) = &cell.bus_listener {
            bus::open(listener, desk).map_err(system("open the bus door"))?;
        }
        let doors = Doors::of(&cell, desk, plan.hidden.clone(), shown.documents_keeper)
            .map_err(system("open the doors of the cell"))?;
        let status = attend(
            &mut cell,
            doors,
            &signals,
            desk,
            prepared.map(|prepared| (prepared, &plan.paths)),
        );
        drop(cell);
        // The cell's mounts are gone with it, and so the connection has ended.
        drop((served, quiet));
        view.settle();
        // So have those of its network door: the end of each is recorded before that of the session.
        let _all_are = desk.connections.wait_for_none(CONNECTIONS_END);
        if let Some(beating) = shown.beating {
            beating.end();
        }
        reporter.stop();
        // A reporter that panicked has nothing more to send.
        drop(reporting.join());
        status
    }

    /// Makes the layers that take what is changed, where it is to be held back.
    fn stage(&self, plan: &Plan) -> Result<Option<staging::Started>, RunError> {
        let Some(directory) = &plan.stage else {
            return Ok(None);
        };
        let (workspace, grants) = (plan.workspace.as_ref(), &plan.grants);
        staging::start(directory, workspace, grants, &self.desk).map(Some)
    }

    fn close(&self, exit_status: u8) {
        let target = format!("/v1/sessions/{}/close", self.desk.session);
        // If it does not arrive, the broker sees this process end.
        drop(
            self.link
                .post::<_, ()>(&target, &CloseSession { exit_status }),
        );
    }
}

fn watched_signals() -> Vec<i32> {
    let further = [Signal::WINCH, Signal::TSTP, Signal::CONT].map(Signal::as_raw);
    FORWARDED.into_iter().chain(further).collect()
}

/// Attends to the running cell until its command has ended and everything it wrote has been passed on.
fn attend(
    cell: &mut Cell,
    mut doors: Doors,
    signals: &OwnedFd,
    desk: &Desk,
    prepared: Option<(Prepared, &Paths)>,
) -> Result<u8, RunError> {
    let system = |what: &'static str| move |source: io::Error| RunError::System { what, source };
    let pipes = std::mem::take(&mut cell.pipes);
    let mut raw = cell.pty_master.as_ref().and_then(|_| RawMode::enter());
    let relays =
        start_relays(cell, pipes, desk, prepared).map_err(system("pass the streams on"))?;
    let overlay = desk.notices.overlay();
    if let Some(board) = cell.denials.take() {
        desk.denials.publish_at(board);
    }
    let status = loop {
        let mut waited = vec![
            PollFd::new(&*cell, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        let listeners = doors.waiting();
        waited.extend(listeners.map(|listener| PollFd::from_borrowed_fd(listener, PollFlags::IN)));
        match poll(&mut waited, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system("wait")(error.into())),
        }
        let came = waited.iter().skip(2);
        let knocked: Vec<bool> = came.map(|waited| !waited.revents().is_empty()).collect();
        doors.answer(&knocked)?;
        while let Some(signal) = take_signal(signals.as_fd()).map_err(system("hear signals"))? {
            pass_on(cell, i32::try_from(signal).unwrap_or(0), overlay)?;
        }
        match cell.try_event()? {
            None | Some(Event::Started | Event::Continued) => {}
            Some(Event::ExecFailed { program, errno }) => {
                let reason = io::Error::from_raw_os_error(errno);
                let line = format!("valetkey: cannot run {program} in the cell: {reason}\r\n");
                let _best_effort = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
            }
            Some(Event::Stopped(_)) => {
                // As a shell expects of the command itself: give the terminal back and stop.
                if let Some(overlay) = overlay {
                    overlay.suspend();
                }
                drop(raw.take());
                let _best_effort =
                    rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
                raw = cell.pty_master.as_ref().and_then(|_| RawMode::enter());
                cell.resume()?;
            }
            Some(Event::Exited(status)) => break u8::try_from(status & 0xff).unwrap_or(1),
            Some(Event::Killed(signal)) => {
                break u8::try_from(signal.saturating_add(128) & 0xff).unwrap_or(1);
            }
            Some(Event::Lost) => break 1,
        }
    };
    // Every process of the cell has ended when the first one has; only then do the streams end.
    let mut ended = [PollFd::from_borrowed_fd(cell.pidfd(), PollFlags::IN)];
    while poll(&mut ended, None) == Err(rustix::io::Errno::INTR) {}
    if let Some(overlay) = overlay {
        overlay.ending();
    }
    relays.drain();
    drop(raw);
    Ok(status)
}

fn start_relays(
    cell: &Cell,
    pipes: [Option<OwnedFd>; 3],
    desk: &Desk,
    prepared: Option<(Prepared, &Paths)>,
) -> io::Result<Relays> {
    let master = cell.pty_master.as_ref();
    let taken_over = match (prepared, master) {
        (Some((prepared, paths)), Some(master)) => {
            let (overlay, running) = prepared.start(master.try_clone()?, paths, &desk.session)?;
            desk.notices.prompt_with(overlay);
            Some(running)
        }
        _ => None,
    };
    Relays::start(master, pipes, taken_over)
}

fn pass_on(cell: &Cell, signal: i32, overlay: Option<&Overlay>) -> Result<(), RunError> {
    if signal == Signal::WINCH.as_raw() {
        if let Some(master) = &cell.pty_master {
            terminal::copy_size(master.as_fd());
        }
        if let Some(overlay) = overlay {
            overlay.resized();
        }
        return Ok(());
    }
    cell.signal(signal)?;
    Ok(())
}
