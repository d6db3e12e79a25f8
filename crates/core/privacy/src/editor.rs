//! Applies the rules to an event before it is hashed.

use std::collections::BTreeMap;

use valetkey_audit::{Attribute, Editor, Event, Fact, Kept, User};
use valetkey_model::Resource;

use crate::key::{Kind, PrivacyKey};
use crate::rules::{Rules, Treatment};
use crate::{place, words};

/// Attributes that the broker makes of ids, digests, signatures and its own words: they name nobody, and a detector would take some for secrets.
const MADE: [&str; 24] = [
    "approval_id",
    "asked_digest",
    "emergency",
    "evidence",
    "how",
    "key",
    "kid",
    "kid_before",
    "lease_scope",
    "level",
    "method",
    "opened",
    "operation",
    "parent",
    "person",
    "public_key",
    "purpose",
    "registry",
    "rule",
    "sealed",
    "signature",
    "undone",
    "version",
    "with",
];

/// Attributes that hold a person's name.
const PEOPLE: [&str; 4] = ["approver", "auditor", "by", "opened_by"];

/// Attributes that say where a connection went: they are treated as its resource is.
const HOSTS: [&str; 2] = ["address", "server_name"];

/// The originals of an event that policy keeps, by the names of their fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Originals {
    /// Whose they are: the keyed hash of the person's name, by which they can be erased. `nobody` where the event names no person.
    pub person: String,
    /// The values. Secrets are masked here, too.
    pub values: BTreeMap<String, String>,
}

impl Originals {
    /// What is sealed: canonical JSON.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(&self.values).unwrap_or_default()
    }
}

/// An event that may be hashed, and what is to be sealed beside the log before it is.
#[derive(Clone, Debug)]
#[must_use]
pub struct Redacted {
    /// The event.
    pub event: Event,
    /// The originals, if policy keeps any.
    pub originals: Option<Originals>,
}

/// The event as the rules leave it.
pub fn redacted(event: Event, rules: &Rules, key: &PrivacyKey) -> Redacted {
    let mut pen = Pen {
        rules,
        key,
        values: BTreeMap::new(),
        name: None,
        place: Treatment::Keep,
    };
    let event = event.edited(&mut pen);
    let person = match &pen.name {
        Some(name) => key.person(name),
        None => "nobody".to_owned(),
    };
    let values = pen.values;
    Redacted {
        event,
        originals: (!values.is_empty()).then_some(Originals { person, values }),
    }
}

struct Pen<'a> {
    rules: &'a Rules,
    key: &'a PrivacyKey,
    values: BTreeMap<String, String>,
    /// The person's name, where the event has one.
    name: Option<String>,
    /// What became of the resource.
    place: Treatment,
}

impl Pen<'_> {
    /// Puts a keyed hash in the place of a value, and keeps the original where it is to be sealed.
    fn treat(&mut self, then: Treatment, kind: Kind, field: &str, value: &str) -> Kept<String> {
        match then {
            Treatment::Keep => Kept::AsIs,
            Treatment::Drop => Kept::Nothing,
            Treatment::Hash => Kept::Instead(self.key.keyed(kind, value)),
            Treatment::Seal => {
                self.values.insert(field.to_owned(), value.to_owned());
                Kept::Instead(self.key.keyed(kind, value))
            }
        }
    }

    /// What becomes of a resource: the treatment, and the resource with hashes where it can be written.
    fn place(&self, resource: &Resource) -> (Treatment, Option<Resource>) {
        let ruled = self.rules.resources.iter().find_map(|rule| {
            let keyed = place::keyed(rule, resource, self.key)?;
            Some((rule.then, keyed))
        });
        let (then, placed) = match ruled {
            None | Some((Treatment::Keep, _)) => (Treatment::Keep, resource.clone()),
            Some((Treatment::Drop, _)) => return (Treatment::Drop, None),
            Some((then, None)) => return (then, None),
            // Above what the rule hashes.
            Some((_, Some(keyed))) if keyed == *resource => (Treatment::Keep, keyed),
            Some((then, Some(keyed))) => (then, keyed),
        };
        if !words::holds_token(&placed.to_string()) {
            return (then, Some(placed));
        }
        // Whichever segment it is: a token in a name is a secret.
        let then = match then {
            Treatment::Keep => Treatment::Hash,
            Treatment::Hash | Treatment::Drop | Treatment::Seal => then,
        };
        (then, self.tokenless(&placed))
    }

    /// The resource with a hash in the place of each segment that holds a token, if that is enough.
    fn tokenless(&self, resource: &Resource) -> Option<Resource> {
        place::without(resource, self.key, words::holds_token)
            .filter(|cleaned| !words::holds_token(&cleaned.to_string()))
    }

    /// A path or resource within a text; nothing where it stays.
    fn place_in_text(&self, text: &str) -> Option<String> {
        let (scheme, whole) = if text.starts_with('/') {
            ("file:", format!("file:{text}"))
        } else if text.contains(":/") {
            ("", text.to_owned())
        } else {
            return None;
        };
        let Ok(resource) = whole.parse::<Resource>() else {
            // No resource, yet something of a place that rules are about may be in it.
            let about = self.rules.resources.iter().any(|rule| {
                let pattern = rule.pattern.to_string();
                let prefix = pattern.split('*').next().unwrap_or_default();
                rule.then != Treatment::Keep && whole.contains(prefix)
            });
            return about.then(|| "[masked]".to_owned());
        };
        match self.place(&resource) {
            (Treatment::Keep, _) => None,
            (_, Some(keyed)) => Some(keyed.to_string().replacen(scheme, "", 1)),
            (_, None) => Some("[masked]".to_owned()),
        }
    }

    /// Free text that stays: masked, and without names and places that rules take out elsewhere.
    fn clean(&self, text: &str) -> Option<String> {
        let mut now = words::masked(text, words::kinds(self.rules.personal_data));
        if !self.rules.resources.is_empty() {
            let current = now.as_deref().unwrap_or(text);
            let placed = words::with_places(current, &mut |place| self.place_in_text(place));
            now = placed.or(now);
        }
        if let Some(name) = self.hidden_name() {
            let current = now.as_deref().unwrap_or(text);
            let hash = self.key.person(name);
            now = words::without_name(current, name, &hash).or(now);
        }
        now
    }

    /// The person's name, where it is not to stand in the log.
    fn hidden_name(&self) -> Option<&str> {
        let hidden = self.rules.of("user") != Treatment::Keep;
        self.name.as_deref().filter(|_| hidden)
    }

    fn fact(&self, fact: &Fact) -> Option<Fact> {
        Some(match fact {
            Fact::Nothing(()) | Fact::Flag(_) | Fact::Count(_) => fact.clone(),
            Fact::Text(text) if words::holds_token(text) => return None,
            Fact::Text(text) if self.hidden_name() == Some(text) => {
                Fact::Text(self.key.person(text))
            }
            Fact::Text(text) => {
                Fact::Text(self.place_in_text(text).unwrap_or_else(|| text.clone()))
            }
            Fact::List(items) => Fact::List(
                items
                    .iter()
                    .map(|item| self.fact(item))
                    .collect::<Option<_>>()?,
            ),
            Fact::Members(members) => Fact::Members(self.members(members)?),
        })
    }

    fn members(&self, members: &BTreeMap<String, Fact>) -> Option<BTreeMap<String, Fact>> {
        let members = members.iter();
        members
            .map(|(name, fact)| Some((name.clone(), self.fact(fact)?)))
            .collect()
    }
}

impl Editor for Pen<'_> {
    fn user(&mut self, name: &str, _uid: u32) -> Kept<User> {
        self.name = Some(name.to_owned());
        match self.treat(self.rules.of("user"), Kind::Person, "user", name) {
            Kept::AsIs => Kept::AsIs,
            Kept::Instead(name) => Kept::Instead(User { name, uid: None }),
            Kept::Nothing => Kept::Nothing,
        }
    }

    fn resource(&mut self, resource: &Resource) -> Kept<Resource> {
        let (then, keyed) = self.place(resource);
        self.place = then;
        if then == Treatment::Seal {
            // A sealed original holds no secret either.
            let original = match words::holds_token(&resource.to_string()) {
                true => self.tokenless(resource),
                false => Some(resource.clone()),
            };
            if let Some(original) = original {
                self.values
                    .insert("resource".to_owned(), original.to_string());
            }
        }
        match (then, keyed) {
            (Treatment::Keep, _) => Kept::AsIs,
            (_, Some(keyed)) => Kept::Instead(keyed),
            (_, None) => Kept::Nothing,
        }
    }

    fn text(&mut self, field: &str, text: &str) -> Kept<String> {
        let attribute = field.strip_prefix("attributes.");
        if attribute.is_some_and(|name| MADE.contains(&name)) {
            return Kept::AsIs;
        }
        if attribute.is_some_and(|name| PEOPLE.contains(&name)) {
            let masked = words::masked(text, words::kinds(crate::PersonalData::Keep));
            let name = masked.as_deref().unwrap_or(text);
            return match (
                self.treat(self.rules.of(field), Kind::Person, field, name),
                &masked,
            ) {
                (Kept::AsIs, Some(masked)) => Kept::Instead(masked.clone()),
                (kept, _) => kept,
            };
        }
        if attribute.is_some_and(|name| HOSTS.contains(&name)) {
            let then = match self.rules.of(field) {
                Treatment::Keep => self.place,
                then @ (Treatment::Hash | Treatment::Drop | Treatment::Seal) => then,
            };
            return self.treat(then, Kind::Host, field, text);
        }
        let then = self.rules.of(field);
        if then == Treatment::Keep {
            return self.clean(text).map_or(Kept::AsIs, Kept::Instead);
        }
        let secrets = words::masked(text, words::kinds(crate::PersonalData::Keep));
        let text = secrets.as_deref().unwrap_or(text);
        self.treat(then, Kind::Text, field, text)
    }

    fn facts(&mut self, facts: &BTreeMap<String, Fact>) -> Kept<BTreeMap<String, Fact>> {
        match self.rules.of("attributes.facts") {
            Treatment::Keep => match self.members(facts) {
                Some(edited) if edited == *facts => Kept::AsIs,
                // Whatever became longer than facts may be is left out.
                Some(edited) => match Attribute::facts(&Fact::Members(edited).to_value()) {
                    Some(Attribute::Facts(edited)) => Kept::Instead(edited),
                    Some(Attribute::Count(_) | Attribute::Flag(_) | Attribute::Text(_)) | None => {
                        Kept::Nothing
                    }
                },
                None => Kept::Nothing,
            },
            Treatment::Drop | Treatment::Hash => Kept::Nothing,
            Treatment::Seal => {
                if let Ok(text) = serde_json::to_string(facts)
                    && !words::holds_token(&text)
                {
                    self.values.insert("attributes.facts".to_owned(), text);
                }
                Kept::Nothing
            }
        }
    }
}

#[cfg(test)]
mod tests;
