//! Expressions and references.

use std::collections::{BTreeMap, BTreeSet};

use regorus::Value;
use regorus::unstable::{BUILTINS, Expr, ExprRef, Query};

use super::names::Names;
use super::{Lowering, NotPlain, Plain, arity, package_of};
use crate::builtins::is_available;
use crate::glob;
use crate::plan::node::{Builtin, Made, Node, Operation, Operator};
use crate::tree::static_names;

/// One part of a reference, behind its start.
enum Part<'e> {
    Name(Value),
    Expression(&'e ExprRef),
}

impl Lowering<'_> {
    pub(super) fn expression(&mut self, expr: &ExprRef, names: &mut Names<'_>) -> Plain<Node> {
        match expr.as_ref() {
            Expr::Null { value, .. }
            | Expr::Bool { value, .. }
            | Expr::Number { value, .. }
            | Expr::String { value, .. }
            | Expr::RawString { value, .. } => Ok(Node::Constant(value.clone())),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference(expr, names)
            }
            Expr::Array { items, .. } => Ok(array(self.all(items, names)?)),
            Expr::Set { items, .. } => Ok(set(self.all(items, names)?)),
            Expr::Object { fields, .. } => {
                let mut members = Vec::new();
                for (_, key, value) in fields {
                    members.push((self.expression(key, names)?, self.expression(value, names)?));
                }
                Ok(object(members))
            }
            Expr::ArrayCompr { term, query, .. } => {
                self.comprehension(Made::Array, query, term, names)
            }
            Expr::SetCompr { term, query, .. } => self.comprehension(Made::Set, query, term, names),
            Expr::ObjectCompr {
                key, value, query, ..
            } => self.object_comprehension(key, value, query, names),
            Expr::Call { fcn, params, .. } => self.call(expr, fcn, params, names),
            Expr::BoolExpr { op, lhs, rhs, .. } => Ok(Node::Compare(
                op.clone(),
                Box::new(self.expression(lhs, names)?),
                Box::new(self.expression(rhs, names)?),
            )),
            Expr::BinExpr { op, lhs, rhs, .. } => {
                self.operator(Operation::Sets(op.clone()), expr, [lhs, rhs], names)
            }
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                self.operator(Operation::Arithmetic(op.clone()), expr, [lhs, rhs], names)
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => Ok(Node::Membership {
                key: match key {
                    Some(key) => Some(Box::new(self.expression(key, names)?)),
                    None => None,
                },
                value: Box::new(self.expression(value, names)?),
                collection: Box::new(self.expression(collection, names)?),
            }),
            Expr::UnaryExpr { .. } | Expr::AssignExpr { .. } => Err(NotPlain),
        }
    }

    fn all(&mut self, items: &[ExprRef], names: &mut Names<'_>) -> Plain<Vec<Node>> {
        items
            .iter()
            .map(|item| self.expression(item, names))
            .collect()
    }

    fn comprehension(
        &mut self,
        made: Made,
        query: &Query,
        term: &ExprRef,
        names: &mut Names<'_>,
    ) -> Plain<Node> {
        let body = self.body(query, names, |lowering, names| {
            lowering.expression(term, names)
        })?;
        Ok(Node::Comprehension {
            made,
            body: Box::new(body),
        })
    }

    fn object_comprehension(
        &mut self,
        key: &ExprRef,
        value: &ExprRef,
        query: &Query,
        names: &mut Names<'_>,
    ) -> Plain<Node> {
        let mut made = None;
        let body = self.body(query, names, |lowering, names| {
            made = Some(lowering.expression(key, names)?);
            lowering.expression(value, names)
        })?;
        Ok(Node::Comprehension {
            made: Made::Object(Box::new(made.ok_or(NotPlain)?)),
            body: Box::new(body),
        })
    }

    fn operator(
        &mut self,
        what: Operation,
        expr: &ExprRef,
        [left, right]: [&ExprRef; 2],
        names: &mut Names<'_>,
    ) -> Plain<Node> {
        Ok(Node::Operator(Box::new(Operator {
            what,
            left: self.expression(left, names)?,
            right: self.expression(right, names)?,
            span: expr.span().clone(),
            written: [left.clone(), right.clone()],
        })))
    }

    fn call(
        &mut self,
        expr: &ExprRef,
        function: &ExprRef,
        arguments: &[ExprRef],
        names: &mut Names<'_>,
    ) -> Plain<Node> {
        let (_, called) = static_names(function).ok_or(NotPlain)?;
        let own = self.path_of(&called, names)?;
        let is_own = own
            .as_ref()
            .is_some_and(|path| self.rules.contains_key(path));
        let name = called.join(".");
        // A function of the policy that has the name of the engine's own is for the interpreter to choose.
        if is_own == is_available(&name) {
            return Err(NotPlain);
        }
        let lowered = self.all(arguments, names)?;
        if let Some(path) = own.filter(|_| is_own) {
            let definitions = self.rules.get(&path).ok_or(NotPlain)?;
            if arity(definitions) != Some(arguments.len()) {
                return Err(NotPlain);
            }
            return Ok(Node::Call(self.number(&path), lowered));
        }
        if name == glob::NAME {
            return if arguments.len() == usize::from(glob::ARGUMENTS) {
                Ok(Node::Glob(lowered))
            } else {
                Err(NotPlain)
            };
        }
        let function = BUILTINS.get(name.as_str()).ok_or(NotPlain)?;
        if usize::from(function.1) != arguments.len() {
            return Err(NotPlain);
        }
        Ok(Node::Builtin(Box::new(Builtin {
            function: *function,
            arguments: lowered,
            span: expr.span().clone(),
            written: arguments.to_vec(),
        })))
    }

    /// The path in `data` of a chain that begins with no local name; nothing where it is neither a rule of the package nor imported from
    /// there.
    fn path_of(&self, chain: &[String], names: &Names<'_>) -> Plain<Option<Vec<String>>> {
        let (first, rest) = chain.split_first().ok_or(NotPlain)?;
        if first == "data" {
            return Ok(Some(rest.to_vec()));
        }
        let mut path = package_of(names.module)?;
        path.push(first.clone());
        if !self.rules.contains_key(&path) {
            let imported = names.import(first)?.unwrap_or_default();
            match imported.split_first() {
                Some((root, below)) if root == "data" => path = below.to_vec(),
                _ => return Ok(None),
            }
        }
        path.extend(rest.iter().cloned());
        Ok(Some(path))
    }

    fn reference(&mut self, expr: &ExprRef, names: &mut Names<'_>) -> Plain<Node> {
        let mut parts = Vec::new();
        let mut at = expr;
        loop {
            if let Expr::RefDot { refr, field, .. } = at.as_ref() {
                parts.push(Part::Name(Value::from(field.0.text())));
                at = refr;
            } else if let Expr::RefBrack { refr, index, .. } = at.as_ref() {
                parts.push(if let Expr::String { value, .. } = index.as_ref() {
                    Part::Name(value.clone())
                } else {
                    Part::Expression(index)
                });
                at = refr;
            } else {
                break;
            }
        }
        parts.reverse();
        let Expr::Var { span, .. } = at.as_ref() else {
            let start = self.expression(at, names)?;
            return self.members(start, parts, names);
        };
        let name = span.text();
        if name == "_" {
            return Err(NotPlain);
        }
        if let Some(slot) = names.local(name)? {
            return self.members(Node::Local(slot), parts, names);
        }
        let fixed = parts
            .iter()
            .take_while(|part| matches!(part, Part::Name(_)))
            .count();
        let behind = parts.split_off(fixed);
        let chain: Vec<String> = std::iter::once(name.to_owned())
            .chain(parts.iter().filter_map(text_of))
            .collect();
        if name == "input" {
            let way = chain.iter().skip(1).map(|part| Value::from(part.as_str()));
            return self.members(Node::Input(way.collect()), behind, names);
        }
        // Below `data` itself a number can stand for the text that it is written as.
        if name == "data" && !behind.is_empty() {
            return Err(NotPlain);
        }
        let path = self.path_of(&chain, names)?.ok_or(NotPlain)?;
        self.at_path(path, behind, names)
    }

    /// What lies at a path in `data`: a rule's value or a part of it, or a value of the bundle.
    fn at_path(
        &mut self,
        path: Vec<String>,
        behind: Vec<Part<'_>>,
        names: &mut Names<'_>,
    ) -> Plain<Node> {
        for length in 1..=path.len() {
            let (above, below) = path.split_at_checked(length).ok_or(NotPlain)?;
            if let Some(there) = self.rules.get(above) {
                // A function has no value.
                if arity(there).is_some() {
                    return Err(NotPlain);
                }
                let mut node = Node::Rule(self.number(above));
                for name in below {
                    node = Node::Member(Box::new(node), Value::from(name.as_str()));
                }
                return self.members(node, behind, names);
            }
        }
        // A part of `data` with rules in it is more than a value.
        if self
            .rules
            .range(path.clone()..)
            .next()
            .is_some_and(|(rule, _)| rule.starts_with(&path))
        {
            return Err(NotPlain);
        }
        let mut value = self.data;
        for name in &path {
            value = &value[&Value::from(name.as_str())];
        }
        // What is nowhere may be a name without a value, which stands for all members.
        if *value == Value::Undefined {
            return Err(NotPlain);
        }
        self.members(Node::Constant(value.clone()), behind, names)
    }

    fn members(&mut self, start: Node, parts: Vec<Part<'_>>, names: &mut Names<'_>) -> Plain<Node> {
        let mut node = start;
        for part in parts {
            node = match part {
                Part::Name(name) => Node::Member(Box::new(node), name),
                Part::Expression(index) => {
                    Node::Index(Box::new(node), Box::new(self.expression(index, names)?))
                }
            };
        }
        Ok(node)
    }
}

fn text_of(part: &Part<'_>) -> Option<String> {
    match part {
        Part::Name(name) => name.as_string().ok().map(|text| text.to_string()),
        Part::Expression(_) => None,
    }
}

/// The values of nodes that are all constant and defined.
fn constants(nodes: &[Node]) -> Option<Vec<Value>> {
    nodes
        .iter()
        .map(|node| {
            if let Node::Constant(value) = node {
                Some(value.clone())
            } else {
                None
            }
        })
        .collect()
}

fn array(items: Vec<Node>) -> Node {
    match constants(&items) {
        Some(values) => Node::Constant(Value::from(values)),
        None => Node::Array(items),
    }
}

fn set(items: Vec<Node>) -> Node {
    match constants(&items) {
        Some(values) => Node::Constant(Value::from(values.into_iter().collect::<BTreeSet<_>>())),
        None => Node::Set(items),
    }
}

fn object(members: Vec<(Node, Node)>) -> Node {
    let constant = members
        .iter()
        .map(|member| match member {
            (Node::Constant(key), Node::Constant(value)) => Some((key.clone(), value.clone())),
            _ => None,
        })
        .collect::<Option<BTreeMap<_, _>>>();
    match constant {
        Some(members) => Node::Constant(Value::from(members)),
        None => Node::Object(members),
    }
}
