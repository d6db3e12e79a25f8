//! The rules: policy data that says what becomes of each field, of resources by pattern, and of personal data in free text.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;
use valetkey_model::Resource;

/// Most rules for resources: each event is held against them.
const RESOURCE_RULES_MAX: usize = 64;

/// The fields that a rule can name. Ids, digests, times and counts are not among them: they name nobody.
const FIELDS: [&str; 19] = [
    "user",
    "justification",
    "evidence.agent_version",
    "evidence.attestation",
    "evidence.mfa",
    "evidence.model",
    "attributes.address",
    "attributes.approver",
    "attributes.auditor",
    "attributes.by",
    "attributes.facts",
    "attributes.how",
    "attributes.opened_by",
    "attributes.posture",
    "attributes.reason",
    "attributes.scope",
    "attributes.server_name",
    "attributes.ticket",
    "attributes.why",
];

/// What becomes of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// It stays, but for secrets and personal data in free text.
    #[default]
    Keep,
    /// A keyed hash stands in its place.
    Hash,
    /// It is left out.
    Drop,
    /// A keyed hash stands in its place, and the original is sealed to the auditors.
    Seal,
}

/// What becomes of personal data that is found in free text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersonalData {
    /// It is masked.
    #[default]
    Mask,
    /// It stays.
    Keep,
}

/// How many hands it takes to open what is sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Hands {
    /// Any auditor alone.
    #[default]
    One,
    /// An auditor of the first hand and one of the second: it is sealed twice, one within the other.
    Two,
}

impl TryFrom<u8> for Hands {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err("`hands_to_unseal` is 1 or 2"),
        }
    }
}

impl From<Hands> for u8 {
    fn from(hands: Hands) -> Self {
        match hands {
            Hands::One => 1,
            Hands::Two => 2,
        }
    }
}

/// What becomes of resources that a pattern covers, or may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRule {
    /// The pattern. What stands before its first wildcard stays readable.
    #[serde(rename = "match")]
    pub pattern: Resource,
    /// What becomes of them.
    pub then: Treatment,
    /// How many segments after that are hashed; all of them where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u8>,
}

/// All rules of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// By field; what is not named is kept.
    #[serde(default, deserialize_with = "fields")]
    pub fields: BTreeMap<String, Treatment>,
    /// By pattern, the first that fits; what none fits is kept.
    #[serde(default)]
    pub resources: Vec<ResourceRule>,
    /// Of personal data in free text. Secrets are always masked.
    #[serde(default)]
    pub personal_data: PersonalData,
    /// How many hands it takes to open what is sealed.
    #[serde(default)]
    pub hands_to_unseal: Hands,
}

/// The rules cannot be used.
#[derive(Debug, Error)]
pub enum RulesError {
    /// They are not of the documented form.
    #[error("not rules of the documented form: {0}")]
    Json(#[from] serde_json::Error),
    /// They are no JSON object.
    #[error("not a JSON object")]
    NoObject,
    /// There are too many.
    #[error("more than {RESOURCE_RULES_MAX} rules for resources")]
    TooMany,
}

impl Rules {
    /// Reads rules strictly: an unknown field, member or word is an error, since a rule with a slip in it would protect nothing.
    ///
    /// # Errors
    /// When they are not of the documented form.
    pub fn parse(bytes: &[u8]) -> Result<Self, RulesError> {
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(RulesError::NoObject);
        }
        let rules: Self = serde_json::from_slice(bytes)?;
        if rules.resources.len() > RESOURCE_RULES_MAX {
            return Err(RulesError::TooMany);
        }
        Ok(rules)
    }

    /// What becomes of a field.
    #[must_use]
    pub fn of(&self, field: &str) -> Treatment {
        self.fields.get(field).copied().unwrap_or_default()
    }

    /// Whether anything is sealed under these rules.
    #[must_use]
    pub fn seals(&self) -> bool {
        let fields = self.fields.values().copied();
        let resources = self.resources.iter().map(|rule| rule.then);
        fields
            .chain(resources)
            .any(|treatment| treatment == Treatment::Seal)
    }
}

/// The fields, of which each must be one that there is.
fn fields<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Treatment>, D::Error> {
    use serde::de::Error as _;
    let fields = BTreeMap::<String, Treatment>::deserialize(deserializer)?;
    match fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        Some(unknown) => Err(D::Error::custom(format!(
            "`{unknown}` is not a field that a rule can name"
        ))),
        None => Ok(fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_with_a_slip_in_them_are_refused() {
        let good = br#"{"fields": {"user": "hash"}, "resources": [{"match": "file:/home/**", "then": "seal", "segments": 1}], "hands_to_unseal": 2}"#;
        let rules = Rules::parse(good).unwrap();
        assert!(rules.seals());
        assert_eq!(rules.of("user"), Treatment::Hash);
        assert_eq!(rules.of("justification"), Treatment::Keep);
        assert_eq!(rules.personal_data, PersonalData::Mask);
        for bad in [
            &b"[]"[..],
            b"7",
            b"{",
            br#"{"field": {}}"#,
            br#"{"fields": {"users": "hash"}}"#,
            br#"{"fields": {"attributes.nobody": "hash"}}"#,
            br#"{"fields": {"user": "hide"}}"#,
            br#"{"resources": [{"match": "/home/**", "then": "hash"}]}"#,
            br#"{"resources": [{"match": "file:/home/**"}]}"#,
            br#"{"resources": [{"match": "file:/home/**", "then": "hash", "depth": 1}]}"#,
            br#"{"personal_data": "hash"}"#,
            br#"{"hands_to_unseal": 3}"#,
        ] {
            assert!(
                Rules::parse(bad).is_err(),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }

    #[test]
    fn the_rules_that_are_built_in_can_be_read() {
        let own = Rules::parse(include_bytes!("../../../../policies/audit.json")).unwrap();
        assert!(!own.seals(), "a person's own log keeps what they did");
        let system =
            Rules::parse(include_bytes!("../../../../policies/audit-system.json")).unwrap();
        assert_eq!(system.of("user"), Treatment::Seal);
    }
}
