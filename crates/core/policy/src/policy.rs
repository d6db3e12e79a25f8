//! One compiled bundle: bytecode and data, evaluated anew for each request under a budget of steps and time.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};
use valetkey_model::{Decision, Digest, PolicyInput};

use crate::bundle::Modules;
use crate::verdict::{Fault, read};
use crate::{Bundle, PolicyError};

/// The rule that decides in a bundle that may grant.
const DECISION: &str = "data.valetkey.decision";
/// The rule that decides in a bundle that can only hold back.
const GUARDRAILS: &str = "data.valetkey.guardrails.decision";
/// Steps of bytecode for one decision. The starter policies take some hundreds for a file, some thousands for a tree. The
/// same request takes the same number everywhere, so that a decision that was within budget stays so when replayed.
const MAX_STEPS: usize = 250_000;
/// Time for one decision, for what steps do not measure: one step over a huge value. Generous, because a busy machine must
/// not turn a good answer into a denial.
const MAX_TIME: Duration = Duration::from_millis(250);
/// Steps between two looks at the clock.
const STEPS_PER_LOOK: NonZeroU32 = NonZeroU32::new(64).unwrap();

/// A compiled bundle. Cheap to clone, and shared between threads: no evaluation sees another's state.
#[derive(Clone)]
pub struct Policy {
    engine: Engine,
    entry: &'static str,
    digest: Digest,
    revision: String,
}

impl Policy {
    /// Compiles a bundle that defines `data.valetkey.decision`.
    ///
    /// # Errors
    /// When the rule is missing, or the compiler refuses a module.
    pub fn compile(bundle: &Bundle) -> Result<Self, PolicyError> {
        Self::with_entry(bundle, DECISION)
    }

    /// Compiles a bundle that defines `data.valetkey.guardrails.decision`: one that can only hold back.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn compile_guardrails(bundle: &Bundle) -> Result<Self, PolicyError> {
        Self::with_entry(bundle, GUARDRAILS)
    }

    fn with_entry(bundle: &Bundle, entry: &'static str) -> Result<Self, PolicyError> {
        let mut engine = bundle.engine(Modules::Deciding)?;
        prepare(&mut engine, entry)?;
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: MAX_TIME,
            check_interval: STEPS_PER_LOOK,
        });
        Ok(Self {
            engine,
            entry,
            digest: bundle.digest(),
            revision: bundle.manifest().revision.clone(),
        })
    }

    /// The digest of the bundle that this was compiled from.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bundle's own name for its version, empty if it has none.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// This policy's decision alone. Never fails: whatever is wrong is a denial by `valetkey/fail-closed`.
    ///
    /// The broker decides with a [`crate::PolicySet`], which adds the guardrails.
    #[must_use]
    pub fn decide(&self, input: &PolicyInput) -> Decision {
        let asked = &input.request.constraints;
        rego_input(&input.clone().with_derived_facts())
            .and_then(|value| read(&self.evaluate(value)?, asked))
            .unwrap_or_else(|fault| fault.denial())
    }

    /// Runs the bytecode on one input.
    pub(crate) fn evaluate(&self, input: Value) -> Result<Value, Fault> {
        let mut engine = self.engine.clone();
        engine.set_input(input);
        engine
            .eval_rule(self.entry.to_owned())
            .map_err(|error| match error.downcast_ref::<LimitError>() {
                Some(limit) => Fault::OverBudget(limit.to_string()),
                None => Fault::Failed(error.to_string()),
            })
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("digest", &self.digest)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

fn prepare(engine: &mut Engine, entry: &'static str) -> Result<(), PolicyError> {
    let refused = |text: String| PolicyError::from_engine("bundle", &text);
    if !defines(engine, entry).map_err(refused)? {
        return Err(PolicyError::NoEntryPoint { rule: entry });
    }
    engine
        .compile_with_entrypoint(&entry.into())
        .map_err(|error| refused(error.to_string()))?;
    Ok(())
}

/// Whether some module has a rule with this path, its name being plain.
fn defines(engine: &Engine, entry: &str) -> Result<bool, String> {
    let Some((package, rule)) = entry.rsplit_once('.') else {
        return Ok(false);
    };
    let packages = engine
        .get_policy_package_components()
        .map_err(|error| error.to_string())?;
    Ok(packages
        .iter()
        .filter(|module| {
            let names = module.components.iter().map(String::as_str);
            package.split('.').skip(1).eq(names)
        })
        .any(|module| {
            engine
                .has_declared_rule_rooted_at(&module.source_file, rule)
                .unwrap_or(false)
        }))
}

/// The input as the engine's value.
pub(crate) fn rego_input(input: &PolicyInput) -> Result<Value, Fault> {
    let text = serde_json::to_string(input).map_err(|error| Fault::Input(error.to_string()))?;
    Value::from_json_str(&text).map_err(|error| Fault::Input(error.to_string()))
}

#[cfg(test)]
mod tests;
