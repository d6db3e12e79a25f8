//! The value of an expression.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{ArithOp, BinOp, comparison, numbers, sets};

use super::{Frame, Run, Sure, Unsure, Wanted, agree, frame_of, keep};
use crate::glob;
use crate::plan::node::{Body, Builtin, Made, Node, Operation, Operator, Pattern, Planned};

/// What a function is given and gives counts as a step for so many bytes or members, so that a text which doubles at each step is
/// counted for what it is.
const BYTES_A_STEP: usize = 256;
const MEMBERS_A_STEP: usize = 16;

impl<'p> Run<'p> {
    pub(super) fn value(&mut self, node: &'p Node, frame: &mut Frame) -> Sure<Value> {
        self.spend(1)?;
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Input(way) => {
                let at = way.iter().fold(self.input, |at, name| &at[name]);
                Ok(at.clone())
            }
            Node::Local(slot) => frame.get(*slot).cloned().ok_or(Unsure),
            Node::Rule(number) => self.rule(*number),
            Node::Member(of, name) => Ok(self.value(of, frame)?[name].clone()),
            Node::Index(of, index) => {
                let index = self.value(index, frame)?;
                Ok(self.value(of, frame)?[&index].clone())
            }
            Node::Array(items) => match self.all(items, frame)? {
                Some(values) => Ok(Value::from(values)),
                None => Ok(Value::Undefined),
            },
            Node::Set(items) => match self.all(items, frame)? {
                Some(values) => Ok(Value::from(values.into_iter().collect::<BTreeSet<_>>())),
                None => Ok(Value::Undefined),
            },
            Node::Object(members) => self.object(members, frame),
            Node::Comprehension { made, body } => self.comprehension(made, body, frame),
            Node::Call(number, arguments) => match self.all(arguments, frame)? {
                Some(arguments) => self.call(*number, &arguments),
                None => Ok(Value::Undefined),
            },
            Node::Builtin(builtin) => self.builtin(builtin, frame),
            Node::Glob(arguments) => match self.all(arguments, frame)? {
                Some(arguments) => glob::called(&arguments)
                    .map(Value::from)
                    .map_err(|_| Unsure),
                None => Ok(Value::Undefined),
            },
            Node::Compare(op, left, right) => {
                let left = self.value(left, frame)?;
                let right = self.value(right, frame)?;
                if left == Value::Undefined || right == Value::Undefined {
                    return Ok(Value::Undefined);
                }
                comparison::compare(op, &left, &right).map_err(|_| Unsure)
            }
            Node::Operator(operator) => self.operator(operator, frame),
            Node::Membership {
                key,
                value,
                collection,
            } => self.membership(key.as_deref(), value, collection, frame),
        }
    }

    /// The values of all nodes; nothing where one of them is undefined.
    fn all(&mut self, nodes: &'p [Node], frame: &mut Frame) -> Sure<Option<Vec<Value>>> {
        let mut values = Vec::with_capacity(nodes.len());
        let mut is_defined = true;
        for node in nodes {
            // The others are worked out all the same: one of them may fail.
            let value = self.value(node, frame)?;
            is_defined &= value != Value::Undefined;
            values.push(value);
        }
        Ok(is_defined.then_some(values))
    }

    fn object(&mut self, members: &'p [(Node, Node)], frame: &mut Frame) -> Sure<Value> {
        let mut made = BTreeMap::new();
        for (name, member) in members {
            let name = self.value(name, frame)?;
            let member = self.value(member, frame)?;
            if name == Value::Undefined || member == Value::Undefined {
                return Ok(Value::Undefined);
            }
            made.insert(name, member);
        }
        Ok(Value::from(made))
    }

    fn comprehension(&mut self, made: &'p Made, body: &'p Body, frame: &mut Frame) -> Sure<Value> {
        let mut items = Vec::new();
        let mut members = BTreeMap::new();
        self.solve(&body.steps, frame, &mut |run, frame| {
            let name = match made {
                Made::Array | Made::Set => None,
                Made::Object(name) => Some(run.value(name, frame)?),
            };
            let value = run.value(&body.output, frame)?;
            if value == Value::Undefined || name == Some(Value::Undefined) {
                return Ok(Wanted::More);
            }
            match name {
                None => items.push(value),
                Some(name) => {
                    // Two values of one name are an error.
                    if members
                        .insert(name, value.clone())
                        .is_some_and(|before| before != value)
                    {
                        return Err(Unsure);
                    }
                }
            }
            Ok(Wanted::More)
        })?;
        Ok(match made {
            Made::Array => Value::from(items),
            Made::Set => Value::from(items.into_iter().collect::<BTreeSet<_>>()),
            Made::Object(_) => Value::from(members),
        })
    }

    fn call(&mut self, number: usize, arguments: &[Value]) -> Sure<Value> {
        let Some(Planned::Function(definitions)) = self.parts.get(number) else {
            return Err(Unsure);
        };
        let mut value = Value::Undefined;
        for (patterns, definition) in definitions {
            let mut frame = frame_of(definition);
            if patterns.len() != arguments.len() {
                return Err(Unsure);
            }
            let fits = patterns.iter().zip(arguments).all(|(pattern, argument)| {
                match pattern {
                    Pattern::Slot(slot) => keep(&mut frame, Some(*slot), argument.clone()),
                    Pattern::Any => {}
                    Pattern::Is(value) => return value == argument,
                }
                true
            });
            if fits {
                agree(&mut value, self.definition(definition, &mut frame)?)?;
            }
        }
        Ok(value)
    }

    fn builtin(&mut self, builtin: &'p Builtin, frame: &mut Frame) -> Sure<Value> {
        let Some(arguments) = self.all(&builtin.arguments, frame)? else {
            return Ok(Value::Undefined);
        };
        let before = arguments.iter().map(weight).fold(0, u64::saturating_add);
        self.spend(before)?;
        let (function, _) = builtin.function;
        let value =
            function(&builtin.span, &builtin.written, &arguments, true).map_err(|_| Unsure)?;
        self.spend(weight(&value))?;
        Ok(value)
    }

    fn operator(&mut self, operator: &'p Operator, frame: &mut Frame) -> Sure<Value> {
        let left = self.value(&operator.left, frame)?;
        let right = self.value(&operator.right, frame)?;
        if left == Value::Undefined || right == Value::Undefined {
            return Ok(Value::Undefined);
        }
        self.spend(weight(&left).saturating_add(weight(&right)))?;
        let [a, b] = &operator.written;
        match &operator.what {
            Operation::Sets(BinOp::Union) => sets::union(a, b, left, right),
            Operation::Sets(BinOp::Intersection) => sets::intersection(a, b, left, right),
            Operation::Arithmetic(ArithOp::Sub)
                if matches!(left, Value::Set(_)) || matches!(right, Value::Set(_)) =>
            {
                sets::difference(a, b, left, right)
            }
            Operation::Arithmetic(op) => {
                numbers::arithmetic_operation(&operator.span, op, a, b, left, right, true)
            }
        }
        .map_err(|_| Unsure)
    }

    fn membership(
        &mut self,
        key: Option<&'p Node>,
        value: &'p Node,
        collection: &'p Node,
        frame: &mut Frame,
    ) -> Sure<Value> {
        let value = self.value(value, frame)?;
        let collection = self.value(collection, frame)?;
        self.spend(weight(&collection))?;
        let is_member = match (key, &collection) {
            (Some(key), Value::Array(_) | Value::Object(_)) => {
                let key = self.value(key, frame)?;
                collection[&key] == value
            }
            (None, Value::Array(items)) => items.contains(&value),
            (None, Value::Object(members)) => members.values().any(|member| *member == value),
            (None, Value::Set(members)) => members.contains(&value),
            _ => false,
        };
        Ok(Value::Bool(is_member))
    }
}

/// What a value counts as, in steps.
fn weight(value: &Value) -> u64 {
    let steps = match value {
        Value::String(text) => text.len().checked_div(BYTES_A_STEP),
        Value::Array(items) => items.len().checked_div(MEMBERS_A_STEP),
        Value::Set(members) => members.len().checked_div(MEMBERS_A_STEP),
        Value::Object(members) => members.len().checked_div(MEMBERS_A_STEP),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => None,
    };
    u64::try_from(steps.unwrap_or(0)).unwrap_or(u64::MAX)
}
