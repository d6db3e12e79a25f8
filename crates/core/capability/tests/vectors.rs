//! The token vectors of `vectors/capability`: each is answered as it says, and the files are those that the generator writes.

#[cfg(test)]
#[path = "../examples/make_vectors/vectors/mod.rs"]
mod vectors;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use serde::Deserialize;
    use serde_json::Value;
    use valetkey_capability::{Jwks, PublicKey, TokenError, Verifier};
    use valetkey_model::{SessionId, Timestamp};

    use super::vectors;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        format: u32,
        class: String,
        #[expect(
            dead_code,
            reason = "for readers; here so that no other member is taken for known"
        )]
        title: String,
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        id: String,
        note: String,
        token: String,
        jwks: Jwks,
        session: SessionId,
        now_ms: u64,
        result: Outcome,
        claims: Option<Value>,
        error: Option<String>,
    }

    #[derive(Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Outcome {
        Accepted,
        Refused,
    }

    fn directory() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(vectors::DIRECTORY)
    }

    fn name(error: &TokenError) -> &'static str {
        match error {
            TokenError::Oversize => "oversize",
            TokenError::Form => "form",
            TokenError::Header => "header",
            TokenError::Signature => "signature",
            TokenError::Claims => "claims",
            TokenError::Audience => "audience",
            TokenError::Session => "session",
            TokenError::Life => "life",
            TokenError::NotYet => "not_yet",
            TokenError::Expired => "expired",
            other => panic!("{other:?} has no name in the vectors"),
        }
    }

    /// `Err` with what went otherwise than the vector says.
    fn check(vector: &Vector) -> Result<(), String> {
        let keys = vector
            .jwks
            .keys
            .iter()
            .filter_map(|jwk| PublicKey::try_from(jwk).ok());
        let verifier = Verifier::new(keys, vector.session.clone());
        let now = Timestamp::from_unix_ms(vector.now_ms);
        let (id, note) = (&vector.id, &vector.note);
        match (
            verifier.verify(&vector.token, now),
            &vector.error,
            &vector.claims,
        ) {
            (Ok(verified), None, Some(claims)) if vector.result == Outcome::Accepted => {
                if serde_json::to_value(verified.claims()).unwrap() == *claims {
                    Ok(())
                } else {
                    Err(format!("{id}: other claims ({note})"))
                }
            }
            (Err(error), Some(expected), None) if vector.result == Outcome::Refused => {
                if name(&error) == expected {
                    Ok(())
                } else {
                    Err(format!(
                        "{id}: {} instead of {expected} ({note})",
                        name(&error)
                    ))
                }
            }
            (answer, ..) => Err(format!("{id}: {answer:?} ({note})")),
        }
    }

    fn files() -> Vec<File> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory()).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let file: File = serde_json::from_str(&text).unwrap();
                assert_eq!(file.format, 1);
                assert_eq!(path.file_stem().unwrap(), file.class.as_str());
                files.push(file);
            }
        }
        files
    }

    #[test]
    fn the_files_are_those_that_the_generator_writes() {
        let again = "run `cargo run -p valetkey-capability --example make_vectors`";
        let made = vectors::files();
        for (name, text) in &made {
            let there = std::fs::read_to_string(directory().join(name)).unwrap_or_default();
            // No `assert_eq`: the difference would be hundreds of kilobytes.
            assert!(there == *text, "{name} is out of date: {again}");
        }
        let made: BTreeSet<&str> = made.iter().map(|(name, _)| name.as_str()).collect();
        for file in files() {
            let name = format!("{}.json", file.class);
            assert!(
                made.contains(name.as_str()),
                "{name} is not made by the generator"
            );
        }
    }

    #[test]
    fn every_vector_is_answered_as_it_says() {
        let files = files();
        let all: Vec<&Vector> = files.iter().flat_map(|file| &file.vectors).collect();
        let failures: Vec<String> = all
            .iter()
            .filter_map(|vector| check(vector).err())
            .collect();
        assert!(
            failures.is_empty(),
            "{} of {}:\n{}",
            failures.len(),
            all.len(),
            failures.join("\n")
        );

        let accepted = all
            .iter()
            .filter(|vector| vector.result == Outcome::Accepted)
            .count();
        println!("{accepted} accepted, {} refused", all.len() - accepted);
        assert!(accepted >= 36 && all.len() - accepted >= 200);
    }

    #[test]
    fn every_vector_is_another_one_and_every_error_occurs() {
        let files = files();
        let all: Vec<&Vector> = files.iter().flat_map(|file| &file.vectors).collect();
        let ids: BTreeSet<&str> = all.iter().map(|vector| vector.id.as_str()).collect();
        assert_eq!(ids.len(), all.len(), "an id is used twice");
        let (mut seen, mut repeated) = (BTreeSet::new(), Vec::new());
        for vector in &all {
            let keys = serde_json::to_string(&vector.jwks).unwrap();
            let same = (&vector.token, keys, &vector.session, vector.now_ms);
            if !seen.insert(same) {
                repeated.push(&vector.id);
            }
        }
        assert!(
            repeated.is_empty(),
            "say what another vector says: {repeated:?}"
        );
        let errors: BTreeSet<&str> = all
            .iter()
            .filter_map(|vector| vector.error.as_deref())
            .collect();
        assert_eq!(
            errors.into_iter().collect::<Vec<_>>(),
            [
                "audience",
                "claims",
                "expired",
                "form",
                "header",
                "life",
                "not_yet",
                "oversize",
                "session",
                "signature"
            ]
        );
    }

    /// The check is itself checked: an answer other than the vector's is found.
    #[test]
    fn a_wrong_answer_is_found() {
        for file in files() {
            for mut vector in file.vectors {
                vector.session = SessionId::new(Timestamp::from_unix_ms(7), [7; 10]);
                let answer_changes = vector.result == Outcome::Accepted
                    || matches!(
                        vector.error.as_deref(),
                        Some("life" | "not_yet" | "expired")
                    );
                assert_eq!(check(&vector).is_err(), answer_changes, "{}", vector.id);
            }
        }
    }
}
