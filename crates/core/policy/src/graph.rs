//! Which rule needs which: functions must not call themselves, and no chain of rules may be so long that evaluating it
//! overflows the stack.

use std::collections::BTreeMap;

use crate::PolicyError;
use crate::rules::{RuleKind, RulePath};

/// How many rules may need each other in one chain. With each of them nested as deeply as `scan` allows, evaluating such a
/// chain was seen to take 1.3 MiB of stack; a thread has 2 MiB.
const MAX_CHAIN: usize = 32;

/// The rules of a bundle, those of one path taken together.
pub(crate) struct Graph<'a> {
    /// The number of a path's first rule, and whether it is a function.
    paths: BTreeMap<&'a [String], (usize, RuleKind)>,
    rules: &'a [RulePath],
    /// What each path's rules need, by the number of the first.
    needs: BTreeMap<usize, Vec<usize>>,
    /// Which functions each path's rules call.
    calls: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(rules: &'a [RulePath]) -> Self {
        let mut paths = BTreeMap::new();
        for (number, rule) in rules.iter().enumerate() {
            paths
                .entry(rule.path.as_slice())
                .or_insert((number, rule.kind));
        }
        Self {
            paths,
            rules,
            needs: BTreeMap::new(),
            calls: BTreeMap::new(),
        }
    }

    /// How many arguments the function with this path takes.
    pub(crate) fn function(&self, path: &[String]) -> Option<usize> {
        match self.paths.get(path) {
            Some((_, RuleKind::Function(arguments))) => Some(*arguments),
            _ => None,
        }
    }

    /// Notes that a rule calls the function with this path.
    pub(crate) fn calls(&mut self, rule: usize, path: &[String]) {
        let Some((called, _)) = self.paths.get(path).copied() else {
            return;
        };
        let rule = self.first_of(rule);
        self.needs.entry(rule).or_default().push(called);
        if matches!(
            self.rules.get(rule).map(|rule| rule.kind),
            Some(RuleKind::Function(_))
        ) {
            self.calls.entry(rule).or_default().push(called);
        }
    }

    /// Notes that a rule may need whatever lies at this path, above it or below it. A local variable that has the name of a
    /// rule counts as that rule: a chain may seem longer than it is, but never shorter.
    pub(crate) fn uses(&mut self, rule: usize, path: &[String]) {
        let rule = self.first_of(rule);
        let above = (1..=path.len()).filter_map(|length| {
            let part = path.get(..length)?;
            self.paths.get(part).map(|(number, _)| *number)
        });
        let below = self
            .paths
            .range(path..)
            .take_while(|(other, _)| other.starts_with(path))
            .filter(|(other, _)| other.len() > path.len())
            .map(|(_, (number, _))| *number);
        let found: Vec<usize> = above.chain(below).filter(|found| *found != rule).collect();
        self.needs.entry(rule).or_default().extend(found);
    }

    fn first_of(&self, rule: usize) -> usize {
        self.rules
            .get(rule)
            .and_then(|rule| self.paths.get(rule.path.as_slice()))
            .map_or(rule, |(first, _)| *first)
    }

    /// The numbers of the rules that are these or that these need, each path's first.
    #[cfg(feature = "tools")]
    pub(crate) fn reached(&self, roots: &[&[&str]]) -> std::collections::BTreeSet<usize> {
        let is_root = |path: &[String]| roots.iter().any(|root| path.iter().eq(root.iter()));
        let mut pending: Vec<usize> = self
            .paths
            .iter()
            .filter(|(path, _)| is_root(path))
            .map(|(_, (number, _))| *number)
            .collect();
        let mut found = std::collections::BTreeSet::new();
        while let Some(rule) = pending.pop() {
            if found.insert(rule) {
                pending.extend(self.needs.get(&rule).into_iter().flatten());
            }
        }
        found
    }

    /// The first rule with the path of this one.
    #[cfg(feature = "tools")]
    pub(crate) fn first(&self, rule: usize) -> usize {
        self.first_of(rule)
    }

    /// Refuses functions that call themselves and chains that are too long.
    ///
    /// # Errors
    /// With the place of a rule in the circle or chain.
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        for circle in components(&self.calls) {
            let calls_itself = circle.first().is_some_and(|one| {
                self.calls
                    .get(one)
                    .is_some_and(|called| called.contains(one))
            });
            if circle.len() > 1 || calls_itself {
                return Err(self.refusal(
                    &circle,
                    "the function calls itself, which Rego does not allow",
                ));
            }
        }
        // Components come after all that they need.
        let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
        for component in components(&self.needs) {
            let longest = component
                .iter()
                .filter_map(|rule| self.needs.get(rule))
                .flatten()
                .filter_map(|needed| lengths.get(needed))
                .max()
                .copied()
                .unwrap_or(0);
            let length = longest.saturating_add(component.len());
            if length > MAX_CHAIN {
                return Err(self.refusal(
                    &component,
                    "the rule needs others in a chain of more than 32: shorten it",
                ));
            }
            lengths.extend(component.iter().map(|rule| (*rule, length)));
        }
        Ok(())
    }

    fn refusal(&self, component: &[usize], message: &str) -> PolicyError {
        let place = component
            .iter()
            .min()
            .and_then(|first| self.rules.get(*first))
            .map(|rule| rule.place.clone());
        PolicyError::syntax(place.unwrap_or_default(), message.to_owned())
    }
}

/// The strongly connected components, each after all that it needs (Tarjan's algorithm, with a stack of its own).
fn components(needs: &BTreeMap<usize, Vec<usize>>) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    let mut order: BTreeMap<usize, usize> = BTreeMap::new();
    let mut low: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open: Vec<usize> = Vec::new();
    let mut closed: BTreeMap<usize, ()> = BTreeMap::new();
    for start in needs.keys() {
        let mut path: Vec<(usize, usize)> = Vec::new();
        if !order.contains_key(start) {
            path.push((*start, 0));
        }
        while let Some((node, next)) = path.pop() {
            if next == 0 {
                let number = order.len();
                order.insert(node, number);
                low.insert(node, number);
                open.push(node);
            }
            let needed = needs.get(&node).and_then(|list| list.get(next));
            if let Some(needed) = needed {
                path.push((node, next.saturating_add(1)));
                match order.get(needed) {
                    None => path.push((*needed, 0)),
                    Some(number) if !closed.contains_key(needed) => lower(&mut low, node, *number),
                    Some(_) => {}
                }
                continue;
            }
            let own = low.get(&node).copied().unwrap_or_default();
            if let Some((before, _)) = path.last() {
                lower(&mut low, *before, own);
            }
            if order.get(&node) == Some(&own) {
                let from = open.iter().rposition(|other| *other == node).unwrap_or(0);
                let component = open.split_off(from);
                closed.extend(component.iter().map(|node| (*node, ())));
                found.push(component);
            }
        }
    }
    found
}

fn lower(low: &mut BTreeMap<usize, usize>, node: usize, number: usize) {
    low.entry(node)
        .and_modify(|there| *there = (*there).min(number))
        .or_insert(number);
}

#[cfg(test)]
mod tests;
