//! The shapes of a policy's input and answer, read from the schemas that are made from the types.

use std::sync::LazyLock;

use serde_json::Value;

static INPUT: LazyLock<Value> =
    LazyLock::new(|| parsed(include_str!("../../../../../schemas/policy-input.json")));
static DECISION: LazyLock<Value> =
    LazyLock::new(|| parsed(include_str!("../../../../../schemas/policy-decision.json")));

fn parsed(text: &str) -> Value {
    // Checked in and tested: whether it parses does not depend on anything that a caller does.
    serde_json::from_str(text).unwrap_or_default()
}

/// A place in a schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    root: &'static Value,
    at: &'static Value,
}

impl Shape {
    /// Of what a policy is given.
    pub(crate) fn input() -> Self {
        Self {
            root: &INPUT,
            at: &INPUT,
        }
        .resolved()
    }

    /// Of what a policy answers.
    pub(crate) fn decision() -> Self {
        Self {
            root: &DECISION,
            at: &DECISION,
        }
        .resolved()
    }

    /// Behind references and the choice between something and nothing.
    fn resolved(self) -> Self {
        let mut at = self.at;
        // A schema that refers to itself ends here.
        for _ in 0..16 {
            let next = if let Some(name) = at.get("$ref").and_then(Value::as_str) {
                name.strip_prefix("#/")
                    .and_then(|path| self.root.pointer(&format!("/{path}")))
            } else {
                let branches = at.get("anyOf").and_then(Value::as_array);
                let real: Vec<&'static Value> = branches
                    .into_iter()
                    .flatten()
                    .filter(|branch| branch.get("type").is_none_or(|kind| kind != "null"))
                    .collect();
                match real.as_slice() {
                    [only] => Some(*only),
                    _ => None,
                }
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        Self { at, ..self }
    }

    /// The names of its members, where it is an object whose members are known.
    pub(crate) fn members(self) -> Option<impl Iterator<Item = &'static str>> {
        let properties = self.at.get("properties")?.as_object()?;
        Some(properties.keys().map(String::as_str))
    }

    /// Whether it may have other members than those.
    pub(crate) fn is_closed(self) -> bool {
        self.at.get("additionalProperties") == Some(&Value::Bool(false))
    }

    /// A member.
    pub(crate) fn member(self, name: &str) -> Option<Self> {
        let at = self.at.get("properties")?.get(name)?;
        Some(Self { at, ..self }.resolved())
    }

    /// What a list holds.
    pub(crate) fn items(self) -> Option<Self> {
        let at = self.at.get("items")?;
        Some(Self { at, ..self }.resolved())
    }

    /// Whether nothing can lie below it: text, a number, a yes or no.
    pub(crate) fn is_leaf(self) -> bool {
        let of_leaf = |kind: &Value| {
            matches!(
                kind.as_str(),
                Some("string" | "integer" | "number" | "boolean" | "null")
            )
        };
        match self.at.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().all(of_leaf),
            Some(kind) => of_leaf(kind),
            None => self.texts().is_some(),
        }
    }

    /// The only texts that it can be, where it is one of a list; it may be something else than a text.
    pub(crate) fn texts(self) -> Option<Vec<&'static str>> {
        if let Some(list) = self.at.get("enum").and_then(Value::as_array) {
            return list.iter().map(Value::as_str).collect();
        }
        let branches = self.at.get("oneOf")?.as_array()?;
        let texts: Vec<&str> = branches
            .iter()
            .filter_map(|branch| branch.get("const")?.as_str())
            .collect();
        (!texts.is_empty()).then_some(texts)
    }

    /// Whether both are one place.
    pub(crate) fn is(self, other: Self) -> bool {
        std::ptr::eq(self.at, other.at)
    }

    /// Whether it is the definition of this name, such as `Resource`.
    pub(crate) fn is_definition(self, name: &str) -> bool {
        let definition = self.root.pointer(&format!("/$defs/{name}"));
        definition.is_some_and(|definition| std::ptr::eq(definition, self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_are_understood() {
        let input = Shape::input();
        let kind = input
            .member("resource")
            .and_then(|facts| facts.member("kind"));
        assert!(
            kind.and_then(Shape::texts)
                .is_some_and(|texts| texts.contains(&"directory"))
        );
        let actions = input
            .member("request")
            .and_then(|request| request.member("actions"));
        let action = actions.and_then(Shape::items);
        assert!(
            action
                .and_then(Shape::texts)
                .is_some_and(|texts| texts.contains(&"read"))
        );
        let grants = input
            .member("subject")
            .and_then(|subject| subject.member("session"))
            .and_then(|session| session.member("grants"));
        let resource = grants
            .and_then(Shape::items)
            .and_then(|grant| grant.member("resource"));
        assert!(resource.is_some_and(|resource| resource.is_definition("Resource")));
        assert!(Shape::decision().is_closed());
        assert_eq!(
            Shape::decision().member("effect").and_then(Shape::texts),
            Some(vec!["allow", "ask", "deny"])
        );
    }
}
