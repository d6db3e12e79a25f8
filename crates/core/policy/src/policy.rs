//! One compiled bundle, evaluated anew for each request under a budget of steps and time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regorus::{Engine, LimitError, Value};
use valetkey_model::{Decision, Digest, PolicyInput};

use crate::bundle::Modules;
use crate::clock::{self, Budget};
use crate::plan::Plan;
use crate::reads::{Reads, reads};
use crate::verdict::{Fault, read};
use crate::{Bundle, PolicyError};

/// The rule that decides in a bundle that may grant.
const DECISION: &str = "data.valetkey.decision";
/// The rule that decides in a bundle that can only hold back.
const GUARDRAILS: &str = "data.valetkey.guardrails.decision";
/// The rule that says who may break the glass, and for what.
const BREAK_GLASS: &str = "data.valetkey.break_glass";
/// For one decision. The starter policies take some hundreds of steps for a file and some thousands for a tree, a tenth of a
/// millisecond to one; time is generous, because a busy machine must not turn a good answer into a denial.
const BUDGET: Budget = Budget {
    steps: 200_000,
    time: Duration::from_millis(250),
};

/// For a plan: a fifth of the interpreter's time, which begins anew when this is over.
const PLAN_TIME: Duration = Duration::from_millis(50);

/// A compiled bundle. Cheap to clone, and shared between threads: no evaluation sees another's state.
#[derive(Clone)]
pub struct Policy {
    engine: Engine,
    /// The same made ready, where all of it is plain.
    plan: Option<Arc<Plan>>,
    entry: &'static str,
    digest: Digest,
    revision: String,
    reads: Reads,
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

    /// Compiles what a bundle says of emergencies, if it says anything.
    pub(crate) fn compile_break_glass(bundle: &Bundle) -> Result<Option<Self>, PolicyError> {
        match Self::with_entry(bundle, BREAK_GLASS) {
            Ok(policy) => Ok(Some(policy)),
            Err(PolicyError::NoEntryPoint { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn with_entry(bundle: &Bundle, entry: &'static str) -> Result<Self, PolicyError> {
        let mut engine = bundle.engine(Modules::Deciding)?;
        prepare(bundle, &mut engine, entry)?;
        let path: Vec<&str> = entry.split('.').skip(1).collect();
        let plan = Plan::of(engine.get_modules(), bundle.data(), &path);
        Ok(Self {
            reads: reads(&mut engine),
            plan: plan.map(Arc::new),
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

    /// What of the input it can read.
    pub(crate) fn reads(&self) -> Reads {
        self.reads.clone()
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

    /// Evaluates the rule that decides: by its plan, or else by the interpreter, which also says every fault.
    pub(crate) fn evaluate(&self, input: Value) -> Result<Value, Fault> {
        match self.planned(&input, PLAN_TIME) {
            Some(answer) => Ok(answer),
            None => self.interpreted(input),
        }
    }

    /// Whether there is a plan.
    #[cfg(test)]
    pub(crate) fn is_planned(&self) -> bool {
        self.plan.is_some()
    }

    /// What the plan says; nothing where it leaves the answer to the interpreter.
    pub(crate) fn planned(&self, input: &Value, time: Duration) -> Option<Value> {
        self.plan.as_ref()?.evaluate(input, time)
    }

    /// What the interpreter says, with a state of its own.
    pub(crate) fn interpreted(&self, input: Value) -> Result<Value, Fault> {
        let mut engine = self.engine.clone();
        clock::begin(&mut engine, BUDGET).map_err(|why| Fault::Failed(why.to_owned()))?;
        engine.set_input(input);
        engine.eval_rule(self.entry.to_owned()).map_err(|error| {
            match error.downcast_ref::<LimitError>() {
                Some(limit) => Fault::OverBudget(limit.to_string()),
                None => Fault::Failed(error.to_string()),
            }
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

/// Checks that the rule is there, and does once what would else be done at each decision.
fn prepare(bundle: &Bundle, engine: &mut Engine, entry: &'static str) -> Result<(), PolicyError> {
    let path: Vec<&str> = entry.split('.').skip(1).collect();
    let defined = bundle.rule_paths(engine)?.iter().any(|rule| {
        rule.path
            .iter()
            .map(String::as_str)
            .eq(path.iter().copied())
    });
    if !defined {
        return Err(PolicyError::NoEntryPoint { rule: entry });
    }
    engine
        .compile_with_entrypoint(&entry.into())
        .map_err(|error| bundle.engine_error("bundle", &error.to_string()))?;
    Ok(())
}

/// The input as the engine's value.
pub(crate) fn rego_input(input: &PolicyInput) -> Result<Value, Fault> {
    rego_value(serde_json::to_value(input).map_err(|error| Fault::Input(error.to_string()))?)
}

/// The same of an input that is JSON already.
pub(crate) fn rego_value(input: serde_json::Value) -> Result<Value, Fault> {
    let value = Value::from(input);
    if value == Value::Undefined {
        return Err(Fault::Input("it is no value".to_owned()));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
