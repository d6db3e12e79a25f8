//! `valetkey policy check`: everything that is wrong with a bundle.

use serde_json::json;
use valetkey_approval::SafeText;
use valetkey_policy::BundleLimits;
use valetkey_policy::tools::{Finding, Severity, check};

use super::source;
use crate::fail::Fail;
use crate::out::{self, Style, styled};
use crate::policy_args::CheckArgs;

pub(super) fn command(args: &CheckArgs) -> Result<u8, Fail> {
    let mut told = Vec::new();
    for source in source::read_all(&args.bundles)? {
        for mut finding in check(source.files, BundleLimits::default()) {
            finding.place.file = format!("{}{}", source.shown, finding.place.file);
            told.push(finding);
        }
    }
    let count = |severity| {
        told.iter()
            .filter(|found| found.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if args.json {
        out::json(&json!({
            "findings": told, "errors": errors, "warnings": warnings, "style": count(Severity::Style),
        }));
    } else {
        told.iter().for_each(show);
        let style = match errors {
            0 => Style::Green,
            _ => Style::Red,
        };
        let sum = format!(
            "{errors} errors, {warnings} warnings, {} of style",
            count(Severity::Style)
        );
        out::line(&styled(style, &sum));
    }
    Ok(u8::from(errors > 0 || (args.strict && warnings > 0)))
}

fn show(finding: &Finding) {
    // What a policy's author wrote may hold anything; a terminal gets text.
    out::line(&SafeText::prose(&finding.to_string()).to_string());
}
