//! Works a plan out for one input.

mod value;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use regorus::Value;

use super::node::{Definition, Node, Planned, Slot, Step};

/// As many steps as the interpreter may take; what needs more is its to judge.
const MAX_STEPS: u64 = 200_000;
/// Steps between two looks at the clock.
const STEPS_BETWEEN_LOOKS: u64 = 256;
/// It is left to the interpreter: an error, a conflict, or more than the limits.
struct Unsure;

type Sure<T> = Result<T, Unsure>;

/// Whether further answers are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    More,
    NoMore,
}

/// The local values of a definition.
type Frame = [Value];

/// What is known of a rule.
enum Known {
    Not,
    /// It is being worked out: whoever needs it now goes in a circle.
    Begun,
    Is(Value),
}

/// The value of the first part; none where the interpreter must say it.
pub(super) fn run(parts: &[Planned], input: &Value, time: Duration) -> Option<Value> {
    let mut run = Run {
        parts,
        input,
        known: parts.iter().map(|_| Known::Not).collect(),
        steps_left: MAX_STEPS,
        next_look: MAX_STEPS.saturating_sub(STEPS_BETWEEN_LOOKS),
        start: Instant::now(),
        time,
    };
    run.rule(0).ok()
}

struct Run<'p> {
    parts: &'p [Planned],
    input: &'p Value,
    known: Vec<Known>,
    steps_left: u64,
    /// How many steps are left when the clock is looked at.
    next_look: u64,
    start: Instant,
    time: Duration,
}

impl<'p> Run<'p> {
    fn spend(&mut self, steps: u64) -> Sure<()> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(Unsure)?;
        if self.steps_left <= self.next_look {
            self.next_look = self.steps_left.saturating_sub(STEPS_BETWEEN_LOOKS);
            if self.start.elapsed() > self.time {
                return Err(Unsure);
            }
        }
        Ok(())
    }

    fn rule(&mut self, number: usize) -> Sure<Value> {
        let known = self.known.get_mut(number).ok_or(Unsure)?;
        match known {
            Known::Is(value) => return Ok(value.clone()),
            Known::Begun => return Err(Unsure),
            Known::Not => *known = Known::Begun,
        }
        let value = match self.parts.get(number).ok_or(Unsure)? {
            Planned::Complete {
                definitions,
                default,
            } => self.complete(definitions, default.as_ref())?,
            Planned::Set(definitions) => self.set(definitions)?,
            Planned::Function(_) => return Err(Unsure),
        };
        if let Some(known) = self.known.get_mut(number) {
            *known = Known::Is(value.clone());
        }
        Ok(value)
    }

    fn complete(
        &mut self,
        definitions: &'p [Definition],
        default: Option<&'p Node>,
    ) -> Sure<Value> {
        let mut value = Value::Undefined;
        for definition in definitions {
            let mut frame = frame_of(definition);
            agree(&mut value, self.definition(definition, &mut frame)?)?;
        }
        match default {
            Some(default) if value == Value::Undefined => self.value(default, &mut []),
            _ => Ok(value),
        }
    }

    fn set(&mut self, definitions: &'p [Definition]) -> Sure<Value> {
        let mut members = BTreeSet::new();
        for definition in definitions {
            let mut frame = frame_of(definition);
            for body in &definition.bodies {
                self.solve(&body.steps, &mut frame, &mut |run, frame| {
                    let member = run.value(&body.output, frame)?;
                    // The interpreter has its own way with members that are undefined among others.
                    if member == Value::Undefined {
                        return if body.loops {
                            Err(Unsure)
                        } else {
                            Ok(Wanted::More)
                        };
                    }
                    members.insert(member);
                    Ok(Wanted::More)
                })?;
            }
        }
        Ok(Value::from(members))
    }

    /// The value of one definition: that of the first body that holds.
    fn definition(&mut self, definition: &'p Definition, frame: &mut Frame) -> Sure<Value> {
        let last = definition.bodies.len().saturating_sub(1);
        for (at, body) in definition.bodies.iter().enumerate() {
            let mut value = Value::Undefined;
            let mut holds = false;
            let is_constant = matches!(body.output, Node::Constant(_));
            self.solve(&body.steps, frame, &mut |run, frame| {
                holds = true;
                let output = run.value(&body.output, frame)?;
                if output == Value::Undefined && (body.loops || at < last) {
                    return Err(Unsure);
                }
                agree(&mut value, output)?;
                Ok(if is_constant {
                    Wanted::NoMore
                } else {
                    Wanted::More
                })
            })?;
            if holds {
                return Ok(value);
            }
        }
        Ok(Value::Undefined)
    }

    /// Calls `found` for each way in which the steps hold, until it wants no more.
    fn solve(
        &mut self,
        steps: &'p [Step],
        frame: &mut Frame,
        found: &mut dyn FnMut(&mut Self, &mut Frame) -> Sure<Wanted>,
    ) -> Sure<Wanted> {
        let mut rest = steps;
        while let Some((step, behind)) = rest.split_first() {
            self.spend(1)?;
            rest = behind;
            let goes_on = match step {
                Step::Holds(node) => holds(&self.value(node, frame)?),
                Step::Not(node) => !holds(&self.value(node, frame)?),
                Step::Bind(slot, node) => {
                    let value = self.value(node, frame)?;
                    let is_defined = value != Value::Undefined;
                    keep(frame, *slot, value);
                    is_defined
                }
                Step::Every {
                    key,
                    value,
                    domain,
                    steps,
                } => self.every(*key, *value, domain, steps, frame)?,
                Step::Some {
                    key,
                    value,
                    collection,
                } => {
                    let collection = self.value(collection, frame)?;
                    return self.each(&collection, frame, &mut |run, frame, name, member| {
                        keep(frame, *key, name);
                        keep(frame, *value, member.clone());
                        run.solve(rest, frame, found)
                    });
                }
            };
            if !goes_on {
                return Ok(Wanted::More);
            }
        }
        found(self, frame)
    }

    fn every(
        &mut self,
        key: Option<Slot>,
        value: Option<Slot>,
        domain: &'p Node,
        steps: &'p [Step],
        frame: &mut Frame,
    ) -> Sure<bool> {
        let domain = self.value(domain, frame)?;
        if !matches!(domain, Value::Array(_) | Value::Set(_) | Value::Object(_)) {
            return Ok(false);
        }
        let all = self.each(&domain, frame, &mut |run, frame, name, member| {
            keep(frame, key, name);
            keep(frame, value, member.clone());
            let once = run.solve(steps, frame, &mut |_, _| Ok(Wanted::NoMore))?;
            // One way in which they hold is enough; a member without one ends it.
            Ok(match once {
                Wanted::NoMore => Wanted::More,
                Wanted::More => Wanted::NoMore,
            })
        })?;
        Ok(all == Wanted::More)
    }

    /// Calls `meet` with each member of a collection and what it is called there.
    fn each(
        &mut self,
        collection: &Value,
        frame: &mut Frame,
        meet: &mut dyn FnMut(&mut Self, &mut Frame, Value, &Value) -> Sure<Wanted>,
    ) -> Sure<Wanted> {
        match collection {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    if meet(self, frame, Value::from(at), item)? == Wanted::NoMore {
                        return Ok(Wanted::NoMore);
                    }
                }
            }
            Value::Set(members) => {
                for member in members.iter() {
                    if meet(self, frame, member.clone(), member)? == Wanted::NoMore {
                        return Ok(Wanted::NoMore);
                    }
                }
            }
            Value::Object(members) => {
                for (name, member) in members.iter() {
                    if meet(self, frame, name.clone(), member)? == Wanted::NoMore {
                        return Ok(Wanted::NoMore);
                    }
                }
            }
            Value::Undefined => {}
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(Unsure);
            }
        }
        Ok(Wanted::More)
    }
}

/// Two values of one rule must be the same.
fn agree(value: &mut Value, other: Value) -> Sure<()> {
    if other == Value::Undefined || *value == other {
        return Ok(());
    }
    if *value == Value::Undefined {
        *value = other;
        return Ok(());
    }
    Err(Unsure)
}

fn holds(value: &Value) -> bool {
    !matches!(value, Value::Bool(false) | Value::Undefined)
}

fn frame_of(definition: &Definition) -> Vec<Value> {
    vec![Value::Undefined; definition.slots]
}

fn keep(frame: &mut Frame, slot: Option<Slot>, value: Value) {
    if let Some(place) = slot.and_then(|slot| frame.get_mut(slot)) {
        *place = value;
    }
}
