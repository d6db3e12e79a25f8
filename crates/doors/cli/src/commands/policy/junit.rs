//! Results of tests as JUnit XML, which CI systems show.

use std::fmt::Write as _;

use valetkey_policy::TestOutcome;

use super::test::Ran;

/// The whole document.
pub(super) fn document(all: &[Ran]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for ran in all {
        let count = |wanted: fn(&TestOutcome) -> bool| {
            ran.tests
                .iter()
                .filter(|test| wanted(&test.outcome))
                .count()
        };
        // Writing to a string does not fail.
        let _written = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
            escaped(&ran.bundle),
            ran.tests.len(),
            count(|outcome| *outcome == TestOutcome::Failed),
            count(|outcome| matches!(outcome, TestOutcome::Error(_))),
            count(|outcome| *outcome == TestOutcome::Skipped),
        );
        for test in &ran.tests {
            let class = test
                .name
                .rsplit_once('.')
                .map_or("", |(package, _)| package);
            let name = test.name.rsplit('.').next().unwrap_or_default();
            let inner = match &test.outcome {
                TestOutcome::Passed => String::new(),
                TestOutcome::Failed => format!(
                    "<failure message=\"{}\"/>",
                    escaped(&test.place.to_string())
                ),
                TestOutcome::Error(words) => format!("<error message=\"{}\"/>", escaped(words)),
                TestOutcome::Skipped => "<skipped/>".to_owned(),
            };
            let _written = writeln!(
                text,
                "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\">{inner}</testcase>",
                escaped(class),
                escaped(name),
                escaped(&test.place.file),
                test.place.line,
            );
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text for an attribute. What XML 1.0 cannot say is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_say_is_left_out() {
        assert_eq!(
            escaped("a<b>&\"\u{1b}[1m\n"),
            "a&lt;b&gt;&amp;&quot;[1m&#10;"
        );
    }
}
