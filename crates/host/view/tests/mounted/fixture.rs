//! A host tree, an authority with a table of rules, and a mounted view of the one by the other.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;
use valetkey_model::{ActionSet, PathPattern};
use valetkey_view::{
    Authority, Connection, Content, Facts, IdMap, Identity, Interrupt, Kinds, Limit, Limits,
    Observation, Permit, Purpose, Use, Verdict, View, ViewConfig, ViewHandle, Why,
};

/// A right that tests can end, and count by.
#[derive(Debug)]
pub(crate) struct TestPermit {
    pub(crate) actions: ActionSet,
    pub(crate) live: AtomicBool,
    pub(crate) read_left: Option<AtomicU64>,
    pub(crate) write_left: Option<AtomicU64>,
    /// Operations that may be begun.
    pub(crate) uses_left: Option<usize>,
    /// Whether it wants to read what is opened.
    pub(crate) judges: bool,
    /// Whether it has no word in how often it is used: then it is not told.
    pub(crate) is_free: bool,
    /// The operations that were begun and not abandoned.
    pub(crate) begun: Mutex<Vec<Begun>>,
    /// The objects that were made.
    pub(crate) made: Mutex<Vec<Identity>>,
}

/// An operation: each name with the object's number and what was seen of its content.
pub(crate) type Begun = (Purpose, Vec<(PathBuf, Option<u64>, String)>);

impl TestPermit {
    pub(crate) fn new(actions: &str) -> Arc<Self> {
        Self::counted(actions, None, None)
    }

    pub(crate) fn counted(actions: &str, read: Option<u64>, write: Option<u64>) -> Arc<Self> {
        Arc::new(Self::plain(actions, read, write))
    }

    pub(crate) fn plain(actions: &str, read: Option<u64>, write: Option<u64>) -> Self {
        Self {
            actions: actions.parse().expect("actions"),
            live: AtomicBool::new(true),
            read_left: read.map(AtomicU64::new),
            write_left: write.map(AtomicU64::new),
            uses_left: None,
            judges: false,
            is_free: false,
            begun: Mutex::default(),
            made: Mutex::default(),
        }
    }

    pub(crate) fn write_left_now(&self) -> u64 {
        let left = self.write_left.as_ref();
        left.map_or(u64::MAX, |left| left.load(Ordering::SeqCst))
    }

    pub(crate) fn kill(&self) {
        self.live.store(false, Ordering::SeqCst);
    }
}

impl Permit for TestPermit {
    fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    fn actions(&self) -> ActionSet {
        self.actions
    }

    fn limits(&self) -> Limits {
        Limits {
            bytes: self.read_left.is_some() || self.write_left.is_some(),
            uses: !self.is_free,
            content: self.judges,
        }
    }

    fn return_read(&self, bytes: u64) {
        if let Some(left) = &self.read_left {
            left.fetch_add(bytes, Ordering::SeqCst);
        }
    }

    fn return_write(&self, bytes: u64) {
        if let Some(left) = &self.write_left {
            left.fetch_add(bytes, Ordering::SeqCst);
        }
    }

    fn begin(&self, usage: &Use<'_>) -> Result<(), Limit> {
        let mut begun = self.begun.lock().expect("lock");
        if self.uses_left.is_some_and(|most| begun.len() >= most) {
            return Err(Limit::Operations);
        }
        let touched = usage.touched.iter().map(|touched| {
            let content = match touched.content {
                Content::Nothing => "nothing".to_owned(),
                Content::New => "new".to_owned(),
                Content::Judged => "judged".to_owned(),
                Content::Unread => "unread".to_owned(),
                Content::Read(file) => {
                    let mut bytes = [0; 4];
                    let count = rustix::io::pread(file, &mut bytes, 0).expect("readable");
                    String::from_utf8_lossy(&bytes[..count]).into_owned()
                }
            };
            let object = touched.object.map(|object| object.ino);
            (touched.path.to_path_buf(), object, content)
        });
        begun.push((usage.purpose, touched.collect()));
        Ok(())
    }

    fn abandon(&self, _new: u64) {
        self.begun.lock().expect("lock").pop();
    }

    fn made(&self, object: Identity) {
        self.made.lock().expect("lock").push(object);
    }

    fn take_read(&self, bytes: u64) -> Result<u64, Limit> {
        let Some(left) = &self.read_left else {
            return Ok(bytes);
        };
        let before = left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                Some(left.saturating_sub(bytes))
            })
            .expect("always some");
        if before == 0 {
            Err(Limit::Bytes)
        } else {
            Ok(before.min(bytes))
        }
    }

    fn take_write(&self, bytes: u64) -> Result<(), Limit> {
        let Some(left) = &self.write_left else {
            return Ok(());
        };
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(bytes)
        })
        .map(drop)
        .map_err(|_| Limit::WriteBytes)
    }
}

type Resolver = Box<dyn Fn(&Path, ActionSet, &Interrupt) -> Verdict + Send + Sync>;

/// Rules in the order in which they were given; exceptions come first.
#[derive(Default)]
pub(crate) struct Rules {
    rules: RwLock<Vec<(PathPattern, Arc<TestPermit>)>>,
    exceptions: RwLock<Vec<PathPattern>>,
    first: RwLock<Vec<(PathPattern, Arc<TestPermit>)>>,
    open: RwLock<Vec<PathPattern>>,
    /// Answers what the rules leave open. Without one nothing is open: it is refused at once.
    resolver: RwLock<Option<Resolver>>,
    pub(crate) resolved: AtomicUsize,
    /// How often it was asked anything.
    pub(crate) checked: AtomicUsize,
    /// What it tells of names at once, and when it looks anew.
    pub(crate) names: RwLock<(Vec<PathBuf>, Vec<PathBuf>)>,
    /// Whether a file with unknown names is given to nobody.
    pub(crate) doubts: AtomicBool,
    /// Whether what a rule says of a name takes a wait to know.
    pub(crate) must_wait: AtomicBool,
    pub(crate) seen: Mutex<Vec<Observation>>,
    /// What is masked at which paths.
    pub(crate) masks: RwLock<Vec<(PathPattern, Kinds)>>,
}

impl Rules {
    pub(crate) fn allow(&self, pattern: &str, actions: &str) -> Arc<TestPermit> {
        self.allow_by(pattern, TestPermit::new(actions))
    }

    pub(crate) fn allow_by(&self, pattern: &str, permit: Arc<TestPermit>) -> Arc<TestPermit> {
        let pattern = PathPattern::parse(pattern).expect("pattern");
        self.rules
            .write()
            .expect("lock")
            .push((pattern, Arc::clone(&permit)));
        permit
    }

    pub(crate) fn except(&self, pattern: &str) {
        self.exceptions
            .write()
            .expect("lock")
            .push(PathPattern::parse(pattern).expect("pattern"));
    }

    /// The rights to exactly this pattern.
    pub(crate) fn rules_of(&self, pattern: &str) -> Vec<Arc<TestPermit>> {
        let pattern = PathPattern::parse(pattern).expect("pattern");
        let rules = self.rules.read().expect("lock");
        let same = rules.iter().filter(|(rule, _)| *rule == pattern);
        same.map(|(_, permit)| Arc::clone(permit)).collect()
    }

    pub(crate) fn lift_exceptions(&self) {
        self.exceptions.write().expect("lock").clear();
    }

    /// Says of what matches that nothing is known, whatever rule has it.
    pub(crate) fn leave_open(&self, pattern: &str) {
        let pattern = PathPattern::parse(pattern).expect("pattern");
        self.open.write().expect("lock").push(pattern);
    }

    /// Allows something that was left open.
    pub(crate) fn grant_first(&self, path: &str, actions: &str) -> Arc<TestPermit> {
        self.grant_first_by(path, TestPermit::plain(actions, None, None))
    }

    pub(crate) fn grant_first_by(&self, path: &str, permit: TestPermit) -> Arc<TestPermit> {
        let pattern = PathPattern::parse(path).expect("pattern");
        let permit = Arc::new(permit);
        let mut first = self.first.write().expect("lock");
        first.push((pattern, Arc::clone(&permit)));
        permit
    }

    pub(crate) fn resolve_by(
        &self,
        resolver: impl Fn(&Path, ActionSet, &Interrupt) -> Verdict + Send + Sync + 'static,
    ) {
        *self.resolver.write().expect("lock") = Some(Box::new(resolver));
    }

    pub(crate) fn reports(&self, wanted: impl Fn(&Observation) -> bool) -> usize {
        self.seen
            .lock()
            .expect("lock")
            .iter()
            .filter(|seen| wanted(seen))
            .count()
    }
}

impl Authority for Rules {
    fn check(&self, path: &Path, wanted: ActionSet) -> Verdict {
        self.checked.fetch_add(1, Ordering::SeqCst);
        if self
            .exceptions
            .read()
            .expect("lock")
            .iter()
            .any(|rule| rule.matches(path))
        {
            return Verdict::Refused { visible: false };
        }
        for (pattern, permit) in self.first.read().expect("lock").iter() {
            if permit.is_live() && pattern.matches(path) && permit.actions.allows_all(wanted) {
                return Verdict::Permitted(Arc::clone(permit) as Arc<dyn Permit>);
            }
        }
        let open = self.open.read().expect("lock");
        if open.iter().any(|rule| rule.matches(path)) {
            return Verdict::Unknown;
        }
        let rules = self.rules.read().expect("lock");
        let live = rules
            .iter()
            .filter(|(pattern, permit)| permit.is_live() && pattern.matches(path))
            .find(|(_, permit)| permit.actions.allows_all(wanted));
        match live {
            Some((_, permit)) => Verdict::Permitted(Arc::clone(permit) as Arc<dyn Permit>),
            None if self.resolver.read().expect("lock").is_some() => Verdict::Unknown,
            None => Verdict::Refused { visible: false },
        }
    }

    fn resolve(
        &self,
        path: &Path,
        wanted: ActionSet,
        _facts: &Facts,
        _why: Why,
        interrupt: &Interrupt,
    ) -> Verdict {
        self.resolved.fetch_add(1, Ordering::SeqCst);
        let resolver = self.resolver.read().expect("lock");
        resolver.as_ref().map_or(Verdict::Unknown, |resolver| {
            resolver(path, wanted, interrupt)
        })
    }

    fn names(&self, _object: Identity, anew: bool) -> Vec<PathBuf> {
        let names = self.names.read().expect("lock");
        if anew {
            names.1.clone()
        } else {
            names.0.clone()
        }
    }

    fn forbids(&self, path: &Path, _wanted: ActionSet, may_wait: bool) -> Option<bool> {
        let exceptions = self.exceptions.read().expect("lock");
        let forbids = exceptions.iter().any(|rule| rule.matches(path));
        (may_wait || !self.must_wait.load(Ordering::SeqCst)).then_some(forbids)
    }

    fn trusts(&self, _path: &Path, _wanted: ActionSet) -> bool {
        !self.doubts.load(Ordering::SeqCst)
    }

    fn redacts(&self, path: &Path) -> Kinds {
        let masks = self.masks.read().expect("lock");
        let here = masks.iter().filter(|(pattern, _)| pattern.matches(path));
        here.fold(Kinds::NONE, |all, (_, kinds)| all.union(*kinds))
    }

    fn report(&self, observation: Observation) {
        self.seen.lock().expect("lock").push(observation);
    }
}

/// A host tree and a mounted view of it.
pub(crate) struct Fixture {
    _directory: TempDir,
    pub(crate) host: PathBuf,
    pub(crate) mount: PathBuf,
    pub(crate) rules: Arc<Rules>,
    pub(crate) view: View,
    handle: Option<ViewHandle>,
}

impl Fixture {
    /// A view that shows `/work/**` with all actions.
    pub(crate) fn whole() -> Option<Self> {
        let fixture = Self::new(|_| {})?;
        fixture.grant("/work", "read,write,create,delete,execute,list,metadata");
        Some(fixture)
    }

    /// A view with no grants; `None`, said loudly, where nothing can be mounted.
    pub(crate) fn new(adjust: impl FnOnce(&mut ViewConfig)) -> Option<Self> {
        Self::with_connection(adjust, Connection::Watched)
    }

    pub(crate) fn with_connection(
        adjust: impl FnOnce(&mut ViewConfig),
        connection: Connection,
    ) -> Option<Self> {
        let device = open_device()?;
        let directory = tempfile::Builder::new()
            .prefix("view-")
            .tempdir()
            .expect("tempdir");
        let (host, target) = (
            directory.path().join("host"),
            directory.path().join("mount"),
        );
        fs::create_dir_all(host.join("work")).expect("host");
        fs::create_dir(&target).expect("mount point");
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other",
            device.as_raw_fd()
        );
        let options = CString::new(options).expect("options");
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        mount("valetkey", &target, "fuse", flags, options.as_c_str()).expect("mount");
        let rules = Arc::new(Rules::default());
        let ids = IdMap {
            own_uid: 0,
            own_gids: vec![0],
            shown_uid: 0,
            shown_gid: 0,
        };
        let mut config = ViewConfig::new(host.clone(), ids);
        adjust(&mut config);
        let view = View::new(config, Arc::clone(&rules) as Arc<dyn Authority>).expect("view");
        let more = (0..1).filter_map(|_| open_device()).collect();
        let handle = view.serve(device, more, connection, 4).expect("serve");
        Some(Self {
            _directory: directory,
            host,
            mount: target,
            rules,
            view,
            handle: Some(handle),
        })
    }

    /// Grants the tree at `path`.
    pub(crate) fn grant(&self, path: &str, actions: &str) -> Arc<TestPermit> {
        let permit = self.rules.allow(&format!("{path}/**"), actions);
        self.view.notify_granted(Path::new(path));
        permit
    }

    /// Grants the tree at `path` without any limit, as a quiet connection wants it.
    pub(crate) fn grant_freely(&self, path: &str, actions: &str) -> Arc<TestPermit> {
        let permit = TestPermit {
            is_free: true,
            ..TestPermit::plain(actions, None, None)
        };
        let permit = self.rules.allow_by(&format!("{path}/**"), Arc::new(permit));
        self.view.notify_granted(Path::new(path));
        permit
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    pub(crate) fn real(&self, path: &str) -> PathBuf {
        self.host.join(path.trim_start_matches('/'))
    }

    pub(crate) fn put(&self, path: &str, content: &str) {
        let real = self.real(path);
        fs::create_dir_all(real.parent().expect("parent")).expect("directories");
        fs::write(real, content).expect("host file");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        unmount(&self.mount, UnmountFlags::DETACH).expect("unmount");
        let Some(handle) = self.handle.take() else {
            return;
        };
        // A test that fails may leave files open, and the connection then lives on.
        if !thread::panicking() && eventually(|| handle.is_finished()) {
            handle.join().expect("the connection ends well");
        }
    }
}

/// A fresh `/dev/fuse`; `None` where this process may not mount.
pub(crate) fn open_device() -> Option<OwnedFd> {
    let device = rustix::process::geteuid()
        .is_root()
        .then(|| rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).ok());
    let device = device.flatten();
    if device.is_none() {
        eprintln!("SKIPPED: needs root and /dev/fuse");
    }
    device
}

/// Waits up to five seconds for something to become true.
pub(crate) fn eventually(check: impl Fn() -> bool) -> bool {
    within(Duration::from_secs(5), check)
}

pub(crate) fn within(limit: Duration, check: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !check() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

/// The error number of a result that must have failed.
#[track_caller]
pub(crate) fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> rustix::io::Errno {
    let error = result.expect_err("it should have failed");
    rustix::io::Errno::from_io_error(&error).expect("an error of the system")
}

/// Names in a directory, sorted.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .expect("read_dir")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    names
}

/// The content of a tree: paths with the content of files, targets of links, nothing for directories.
pub(crate) fn tree(path: &Path) -> HashMap<PathBuf, Vec<u8>> {
    let mut found = HashMap::new();
    let mut left = vec![path.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("read_dir") {
            let entry = entry.expect("entry");
            let at = entry.path();
            let kind = entry.file_type().expect("kind");
            let content = if kind.is_dir() {
                left.push(at.clone());
                Vec::new()
            } else if kind.is_symlink() {
                let target = fs::read_link(&at).expect("link");
                target.into_os_string().into_encoded_bytes()
            } else {
                fs::read(&at).expect("read")
            };
            found.insert(at.strip_prefix(path).expect("below").to_path_buf(), content);
        }
    }
    found
}
