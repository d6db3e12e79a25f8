//! The rules of a session: the built-in guardrails and the bundle that may grant, named for the log.

use valetkey_api::BundleFile;
use valetkey_model::{Decision, Digest, PolicyInput};
use valetkey_policy::{Bundle, BundleLimits, PolicyError, PolicySet, starter};

/// A compiled policy and its name.
#[derive(Debug)]
pub(crate) struct Rules {
    name: String,
    set: PolicySet,
}

impl Rules {
    /// The policy that sessions have that bring none.
    pub(crate) fn built_in() -> Result<Self, PolicyError> {
        Ok(Self {
            name: "base".to_owned(),
            set: PolicySet::new(&starter("base")?)?,
        })
    }

    /// A bundle that a session brings. The guardrails hold above it all the same.
    ///
    /// # Errors
    /// With file, line, column and the compiler's words where it does not load.
    pub(crate) fn load(files: Vec<BundleFile>) -> Result<Self, String> {
        let files = files
            .into_iter()
            .map(|file| (file.path, file.text.into_bytes()))
            .collect();
        let bundle = Bundle::from_files(files, BundleLimits::default())
            .map_err(|error| error.to_string())?;
        let set = PolicySet::new(&bundle).map_err(|error| error.to_string())?;
        let revision = &bundle.manifest().revision;
        let name = if revision.is_empty() {
            "session"
        } else {
            revision
        };
        Ok(Self {
            name: name.to_owned(),
            set,
        })
    }

    /// The name, for the log.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The digest of everything that decides.
    pub(crate) fn digest(&self) -> Digest {
        self.set.digest()
    }

    /// Decides. Whatever is wrong is a denial.
    pub(crate) fn decide(&self, input: &PolicyInput) -> Decision {
        self.set.decide(input)
    }
}
