//! How well the detectors find: precision and recall over a labelled set, with a floor.
//!
//! In `labelled/*.txt` what is to be found stands between `⟦` and `⟧`; the marks are taken out before the content is looked at. All values are
//! made up. What could be taken for a live key by its form is written in parts, joined by `⟨⟩`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use valetkey_redact::{Kinds, mask};

const RECALL_MIN: f64 = 0.97;
const PRECISION_MIN: f64 = 0.95;

/// Content without its marks, and what they mark.
fn labelled(text: &str) -> (String, Vec<(usize, usize)>) {
    let text = text.replace("⟨⟩", "");
    let (mut plain, mut spans, mut begun) = (String::new(), Vec::new(), None);
    for letter in text.chars() {
        match letter {
            '⟦' => begun = Some(plain.len()),
            '⟧' => spans.push((begun.take().expect("a mark that was begun"), plain.len())),
            other => plain.push(other),
        }
    }
    (plain, spans)
}

fn meets(a: (usize, usize), b: (usize, usize)) -> bool {
    a.0 < b.1 && b.0 < a.1
}

#[derive(Default)]
struct Score {
    labels: usize,
    hidden: usize,
    finds: usize,
    right: usize,
}

#[test]
fn of_the_labelled_set_nearly_all_is_hidden_and_little_else() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/labelled");
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("the set") {
        let path = entry.expect("entry").path();
        let name = path
            .file_name()
            .expect("name")
            .to_string_lossy()
            .into_owned();
        let (kind, kinds) = if name.starts_with("pii") {
            ("pii", Kinds::PII)
        } else {
            ("secrets", Kinds::SECRETS)
        };
        let score = scores.entry(kind).or_default();
        let text = fs::read_to_string(&path).expect("text");
        // Samples are files of their own.
        for sample in text.split("\n====\n") {
            let (plain, labels) = labelled(sample);
            let masked = mask(plain.as_bytes(), kinds).expect("text");
            let finds: Vec<_> = masked
                .ranges
                .iter()
                .map(|range| (range.start, range.end))
                .collect();
            score.labels += labels.len();
            score.finds += finds.len();
            for label in &labels {
                // All of it must be hidden, separators aside.
                let shown = plain
                    .bytes()
                    .zip(&masked.content)
                    .take(label.1)
                    .skip(label.0);
                let open = shown.filter(|(from, to)| {
                    from == *to && from.is_ascii_alphanumeric() && *from != b'X' && *from != b'9'
                });
                if open.count() == 0 {
                    score.hidden += 1;
                } else {
                    println!("{name}: missed {:?}", &plain[label.0..label.1]);
                }
            }
            for find in &finds {
                if labels.iter().any(|label| meets(*label, *find)) {
                    score.right += 1;
                } else {
                    println!("{name}: wrongly found {:?}", &plain[find.0..find.1]);
                }
            }
        }
    }
    for (kind, score) in &scores {
        let ratio = |part: usize, whole: usize| part as f64 / whole as f64;
        let recall = ratio(score.hidden, score.labels);
        let precision = ratio(score.right, score.finds);
        println!(
            "{kind}: {} labels, recall {recall:.3}; {} finds, precision {precision:.3}",
            score.labels, score.finds
        );
        assert!(
            score.labels >= 40,
            "{kind}: {} labels are too few",
            score.labels
        );
        assert!(recall >= RECALL_MIN, "{kind}: recall {recall}");
        assert!(precision >= PRECISION_MIN, "{kind}: precision {precision}");
    }
    assert_eq!(scores.len(), 2);
}
