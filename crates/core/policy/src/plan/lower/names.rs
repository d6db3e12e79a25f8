//! What names mean in a definition: local values by their places, imports by their paths.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::Module;

use super::{NotPlain, Plain, Slot};
use crate::tree::static_names;

/// A definition's names, those of the innermost body last.
pub(super) struct Names<'a> {
    pub(super) module: &'a Module,
    scopes: Vec<Scope>,
    slots: usize,
}

#[derive(Default)]
struct Scope {
    /// All names that the body gives values to.
    declared: BTreeSet<String>,
    /// Those that have one at this point.
    bound: BTreeMap<String, Slot>,
}

impl<'a> Names<'a> {
    pub(super) fn new(module: &'a Module) -> Self {
        Self {
            module,
            scopes: Vec::new(),
            slots: 0,
        }
    }

    pub(super) fn enter(&mut self, declared: BTreeSet<String>) {
        self.scopes.push(Scope {
            declared,
            bound: BTreeMap::new(),
        });
    }

    pub(super) fn leave(&mut self) {
        self.scopes.pop();
    }

    /// Gives a name its place; `_` has none.
    pub(super) fn bind(&mut self, name: &str) -> Plain<Option<Slot>> {
        if name == "_" {
            return Ok(None);
        }
        // These mean what they mean everywhere.
        if matches!(name, "input" | "data") {
            return Err(NotPlain);
        }
        let scope = self.scopes.last_mut().ok_or(NotPlain)?;
        let slot = self.slots;
        self.slots = slot.checked_add(1).ok_or(NotPlain)?;
        match scope.bound.insert(name.to_owned(), slot) {
            None => Ok(Some(slot)),
            Some(_) => Err(NotPlain),
        }
    }

    /// The place of a local value; nothing where the name is none of them.
    pub(super) fn local(&self, name: &str) -> Plain<Option<Slot>> {
        for scope in self.scopes.iter().rev() {
            if let Some(slot) = scope.bound.get(name) {
                return Ok(Some(*slot));
            }
            // It gets its value later: the interpreter puts the statements in order.
            if scope.declared.contains(name) {
                return Err(NotPlain);
            }
        }
        Ok(None)
    }

    /// The whole path that an imported name stands for, from `data` or `input` on.
    pub(super) fn import(&self, name: &str) -> Plain<Option<Vec<String>>> {
        let found = imports(self.module)?
            .into_iter()
            .find(|(alias, _)| alias == name);
        Ok(found.map(|(_, path)| path))
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }
}

/// The imported names of a module and their whole paths, but for those of the language itself.
pub(super) fn imports(module: &Module) -> Plain<Vec<(String, Vec<String>)>> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for import in &module.imports {
        let (_, path) = static_names(&import.refr).ok_or(NotPlain)?;
        if path.first().is_some_and(|first| first == "rego") {
            continue;
        }
        let alias = match &import.r#as {
            Some(alias) => alias.text().to_owned(),
            None => path.last().cloned().ok_or(NotPlain)?,
        };
        if found.iter().any(|(name, _)| *name == alias) {
            return Err(NotPlain);
        }
        found.push((alias, path));
    }
    Ok(found)
}
