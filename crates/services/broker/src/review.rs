//! The reviews of emergencies: one private file each, open until another person closes it, across restarts.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use valetkey_api::{Problem, ProblemKind, Review};
use valetkey_approval::{Approver, ReviewItem, SignedEmergency, SignedReview};
use valetkey_model::{Digest, Timestamp};

/// Reviews of one user that may be open before nobody breaks any more glass.
const MAX_OPEN: usize = 64;
/// Reviews in all; closed ones make room for new ones, oldest first.
const MAX_REVIEWS: usize = 4096;

/// A review as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) uid: u32,
    pub(crate) id: Digest,
    pub(crate) emergency: SignedEmergency,
    pub(crate) item: ReviewItem,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<SignedReview>,
}

/// A review as it is once it is closed. Only [`Kept::closed_by`] makes one, and it closes nothing yet.
#[derive(Debug)]
#[must_use]
pub(crate) struct Closed(Kept);

impl Kept {
    /// This review closed as its rules say; or why it is not to be closed.
    pub(crate) fn closed_by(
        &self,
        review: &SignedReview,
        by: &Approver,
        now: Timestamp,
    ) -> Result<Closed, Problem> {
        let mut next = self.clone();
        next.item
            .close(by, &review.signed.findings, now)
            .map_err(|error| Problem::new(ProblemKind::Denied, error.to_string()))?;
        next.closed = Some(review.clone());
        Ok(Closed(next))
    }
}

/// All reviews, in memory and on disk.
#[derive(Debug)]
pub(crate) struct Reviews {
    directory: PathBuf,
    closing: tokio::sync::Mutex<()>,
    kept: Mutex<BTreeMap<Digest, Kept>>,
}

impl Reviews {
    /// Reads what there is. A file that does not read stops the broker: a review must not be closed by damage.
    pub(crate) fn load(state: &Path) -> Result<Self, String> {
        let directory = state.join("reviews");
        let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        let mut kept = BTreeMap::new();
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let unread = || format!("{} does not read", path.display());
            let bytes = valetkey_store::read_private(&path).map_err(|error| error.to_string())?;
            let one: Kept = serde_json::from_slice(&bytes).map_err(|_| unread())?;
            if one.emergency.digest() != Ok(one.id) || kept.len() > MAX_REVIEWS {
                return Err(unread());
            }
            kept.insert(one.id, one);
        }
        Ok(Self {
            directory,
            closing: tokio::sync::Mutex::default(),
            kept: Mutex::new(kept),
        })
    }

    /// The times at which a person of a user's broke the glass before.
    pub(crate) fn earlier(&self, uid: u32, by: &str) -> Vec<Timestamp> {
        let kept = self.lock();
        let own = kept.values().filter(|one| one.uid == uid);
        // A name that differs in case alone is the same person.
        own.filter(|one| one.item.opened_by().to_lowercase() == by.to_lowercase())
            .map(|one| one.item.opened_at())
            .collect()
    }

    /// Keeps a new review, on disk first. What was signed once is taken once.
    pub(crate) fn open(&self, one: Kept) -> Result<(), Problem> {
        let mut kept = self.lock();
        if kept.contains_key(&one.id) {
            let why = "this emergency was signed for before: sign it anew";
            return Err(Problem::new(ProblemKind::Denied, why));
        }
        let of_user = kept.values().filter(|other| other.uid == one.uid);
        if of_user.filter(|other| other.item.is_open()).count() >= MAX_OPEN {
            let why = "too many reviews are open: they come first";
            return Err(Problem::new(ProblemKind::Busy, why)
                .hinted(false, "`valetkey report review` lists them"));
        }
        if kept.len() >= MAX_REVIEWS {
            let closed = kept.values().filter(|other| !other.item.is_open());
            let oldest = closed.min_by_key(|other| other.item.opened_at());
            let oldest = oldest
                .map(|other| other.id)
                .ok_or_else(|| Problem::new(ProblemKind::Busy, "no more reviews can be kept"))?;
            kept.remove(&oldest);
            // Gone from memory, it would only be read again at the next start.
            drop(std::fs::remove_file(self.path(&oldest)));
        }
        self.write(&one)?;
        kept.insert(one.id, one);
        Ok(())
    }

    /// The review of that emergency.
    pub(crate) fn find(&self, id: &Digest) -> Option<Kept> {
        self.lock().get(id).cloned()
    }

    /// The turn to close one: only one review is closed at a time.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.closing.lock().await
    }

    /// Keeps a review that was closed, on disk first.
    pub(crate) fn close(&self, closed: Closed) -> Result<(), Problem> {
        let mut kept = self.lock();
        let one = kept.get_mut(&closed.0.id).ok_or_else(no_review)?;
        self.write(&closed.0)?;
        *one = closed.0;
        Ok(())
    }

    /// The reviews in sight, oldest first.
    pub(crate) fn list(&self, is_seen: impl Fn(u32) -> bool) -> Vec<Review> {
        let kept = self.lock();
        let seen = kept.values().filter(|one| is_seen(one.uid));
        let mut reviews: Vec<Review> = seen
            .map(|one| Review {
                emergency: one.id,
                is_open: one.item.is_open(),
                session: one.emergency.signed.session.clone(),
                item: one.item.clone(),
            })
            .collect();
        reviews.sort_by_key(|review| review.item.opened_at());
        reviews
    }

    fn write(&self, one: &Kept) -> Result<(), Problem> {
        let failed = |why: String| {
            Problem::new(
                ProblemKind::Unavailable,
                format!("the review cannot be kept: {why}"),
            )
        };
        let bytes = serde_json::to_vec_pretty(one).map_err(|error| failed(error.to_string()))?;
        valetkey_store::write_atomically(&self.path(&one.id), &bytes, 0o600)
            .map_err(|error| failed(error.to_string()))
    }

    fn path(&self, id: &Digest) -> PathBuf {
        let name = id.to_string().replace(':', "-");
        self.directory.join(format!("{name}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one who may not see a review is told, too.
pub(crate) fn no_review() -> Problem {
    Problem::new(ProblemKind::NotFound, "no emergency has this digest")
        .hinted(false, "`valetkey report review` lists them")
}
