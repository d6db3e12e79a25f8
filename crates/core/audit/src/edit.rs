//! An event's texts before it is hashed: each is shown to an editor, who keeps it, puts another in its place, or takes it out.

use std::collections::BTreeMap;

use valetkey_model::Resource;

use crate::attribute::{ATTRIBUTE_TEXT_MAX_BYTES, Attribute, Fact};
use crate::event::{Event, JUSTIFICATION_MAX_BYTES, NAME_MAX_BYTES, User};
use crate::text::safe;

/// What becomes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kept<T> {
    /// It stays.
    AsIs,
    /// This stands in its place.
    Instead(T),
    /// It is taken out.
    Nothing,
}

/// Looks at every text of an event. What it has no method for is made by the broker itself and names nobody: ids, times, digests, counts.
pub trait Editor {
    /// The person. Without a number, the name is a keyed hash already, and is not shown.
    fn user(&mut self, name: &str, uid: u32) -> Kept<User>;
    /// What the event is about.
    fn resource(&mut self, resource: &Resource) -> Kept<Resource>;
    /// A text, by the name of its member: `justification`, `evidence.model`, `attributes.reason`.
    fn text(&mut self, field: &str, text: &str) -> Kept<String>;
    /// Facts of several parts.
    fn facts(&mut self, facts: &BTreeMap<String, Fact>) -> Kept<BTreeMap<String, Fact>>;
}

impl Event {
    /// With the person as another event has them.
    pub fn user_as(mut self, user: User) -> Self {
        self.user = Some(User {
            name: safe(&user.name, NAME_MAX_BYTES),
            uid: user.uid,
        });
        self
    }

    /// The event as the editor leaves it. Whatever is put in is made safe and cut like any other text.
    pub fn edited(mut self, editor: &mut impl Editor) -> Self {
        if let Some(user) = self.user.take() {
            self.user = match user.uid {
                Some(uid) => put(user.clone(), editor.user(&user.name, uid)),
                None => Some(user),
            };
        }
        if let Some(resource) = self.resource.take() {
            let kept = editor.resource(&resource);
            self.resource = put(resource, kept);
        }
        edit_text(
            editor,
            "justification",
            &mut self.justification,
            JUSTIFICATION_MAX_BYTES,
        );
        let evidence = &mut self.evidence;
        for (field, text) in [
            ("evidence.agent_version", &mut evidence.agent_version),
            ("evidence.attestation", &mut evidence.attestation),
            ("evidence.mfa", &mut evidence.mfa),
            ("evidence.model", &mut evidence.model),
        ] {
            edit_text(editor, field, text, NAME_MAX_BYTES);
        }
        self.attributes.retain(|name, value| match value {
            Attribute::Text(text) => {
                match editor.text(&format!("attributes.{}", name.as_str()), text) {
                    Kept::AsIs => true,
                    Kept::Instead(other) => {
                        *text = safe(&other, ATTRIBUTE_TEXT_MAX_BYTES);
                        true
                    }
                    Kept::Nothing => false,
                }
            }
            Attribute::Facts(facts) => match editor.facts(facts) {
                Kept::AsIs => true,
                Kept::Instead(other) => {
                    *facts = other;
                    true
                }
                Kept::Nothing => false,
            },
            Attribute::Count(_) | Attribute::Flag(_) => true,
        });
        self
    }
}

fn put<T>(before: T, kept: Kept<T>) -> Option<T> {
    match kept {
        Kept::AsIs => Some(before),
        Kept::Instead(other) => Some(other),
        Kept::Nothing => None,
    }
}

fn edit_text(editor: &mut impl Editor, field: &str, text: &mut Option<String>, max_bytes: usize) {
    if let Some(before) = text.take() {
        let kept = editor.text(field, &before);
        *text = put(before, kept).map(|text| safe(&text, max_bytes));
    }
}
