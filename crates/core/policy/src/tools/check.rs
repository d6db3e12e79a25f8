//! What is wrong with a bundle, all of it at once where that can be told.

mod answer;
mod never;
mod references;
mod style;
mod unused;

use std::collections::BTreeMap;

use regorus::unstable::{Module, Ref};
use regorus::{Engine, Value};

use crate::bundle::Modules;
use crate::error::place_of;
use crate::tools::Finding;
use crate::tools::finding::Severity;
use crate::tools::steps::steps;
use crate::{Bundle, BundleLimits, Policy, PolicyError, scan};

/// Everything that is found in a bundle's files, in order of their places: errors that keep it from being loaded, references that lead
/// nowhere, rules without effect, conditions that cannot hold, and style.
#[must_use]
pub fn check(files: Vec<(String, Vec<u8>)>, limits: BundleLimits) -> Vec<Finding> {
    let mut findings = syntax(&files);
    match Bundle::from_files(files, limits) {
        Err(error) => {
            let loading = Finding::of(&error);
            if !findings.iter().any(|found| found.place == loading.place) {
                findings.push(loading);
            }
        }
        Ok(bundle) => match of_bundle(&bundle) {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::of(&error)),
        },
    }
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| {
            let place = &finding.place;
            (
                place.file.clone(),
                place.line,
                place.column,
                finding.severity,
            )
        };
        key(a).cmp(&key(b))
    });
    findings.dedup();
    findings
}

/// Errors of the parser, of every module: a bundle is refused for the first one.
fn syntax(files: &[(String, Vec<u8>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".rego")) {
        let Ok(text) = std::str::from_utf8(content) else {
            continue;
        };
        // What is out of all proportion is never given to the parser.
        let parsed = scan::check(path, text).and_then(|()| {
            Engine::new()
                .add_policy(path.clone(), text.to_owned())
                .map_err(|error| {
                    let modules = BTreeMap::from([(path.clone(), text.to_owned())]);
                    PolicyError::from_engine(path, &error.to_string(), &modules)
                })
        });
        if let Err(error) = parsed {
            findings.push(Finding::of(&error));
        }
    }
    findings
}

fn of_bundle(bundle: &Bundle) -> Result<Vec<Finding>, PolicyError> {
    let mut engine = bundle.engine(Modules::All)?;
    let rules = bundle.rule_paths(&mut engine)?;
    let mut findings = entry_points(bundle);
    findings.extend(unused::find(&mut engine, &rules)?);
    let names = references::Known::new(&rules, bundle.data());
    let modules: Vec<Ref<Module>> = engine.get_modules().clone();
    for module in &modules {
        let about = About::new(module);
        findings.extend(references::find(&about, &names));
        findings.extend(style::find(&about));
        if !about.is_test {
            findings.extend(never::find(&about));
            findings.extend(answer::find(&about));
        }
    }
    Ok(findings)
}

/// A bundle decides, or holds back, or it does nothing.
fn entry_points(bundle: &Bundle) -> Vec<Finding> {
    let grants = Policy::compile(bundle);
    match (&grants, Policy::compile_guardrails(bundle)) {
        (Err(error), Err(_)) => vec![Finding::of(error)],
        _ => Vec::new(),
    }
}

/// One module, and how names are read in it.
struct About<'a> {
    module: &'a Module,
    file: String,
    is_test: bool,
    /// What an imported name stands for, from `data` or `input` on.
    imports: BTreeMap<String, Vec<String>>,
}

impl<'a> About<'a> {
    fn new(module: &'a Module) -> Self {
        let file = module.package.span.source.file().clone();
        let mut imports = BTreeMap::new();
        for import in &module.imports {
            let Some((first, rest)) = steps(&import.refr) else {
                continue;
            };
            let mut path = vec![first];
            path.extend(rest.into_iter().filter_map(|step| match step {
                super::steps::Step::Name(name, _) => Some(name),
                super::steps::Step::Any => None,
            }));
            let alias = import.r#as.as_ref().map(|span| span.text().to_owned());
            if let Some(name) = alias.or_else(|| path.last().cloned())
                && matches!(path.first().map(String::as_str), Some("data" | "input"))
            {
                imports.insert(name, path);
            }
        }
        Self {
            module,
            is_test: file.ends_with("_test.rego"),
            file,
            imports,
        }
    }

    fn text(&self) -> &str {
        self.module.package.span.source.contents()
    }
}

/// Whether any of these keeps a bundle from being used.
#[must_use]
pub fn is_refused(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

/// What lies at a path of data.
fn value_at<'a>(data: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(data, |at, name| {
        at.as_object().ok()?.get(&Value::from(name.as_str()))
    })
}

fn at(span: &regorus::unstable::Span) -> crate::Place {
    place_of(span)
}

#[cfg(test)]
mod tests;
