//! From the modules' trees to a plan: what a name means is found out here, once.
//!
//! Whatever is not plain is [`NotPlain`], and then there is no plan: values that are replaced by `with`, statements that use a name
//! before the one that gives it its value, names without a value that stand for all members, parts of `data` that hold both rules and
//! values, patterns, rules whose names have more than one part.

mod expression;
mod names;

use std::collections::BTreeMap;

use regorus::Value;
use regorus::unstable::{
    AssignOp, Expr, ExprRef, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleAssign, RuleBody,
    RuleHead,
};

use self::names::Names;
use super::node::{Body, Definition, Node, Pattern, Planned, Slot, Step};
use crate::tree::static_names;

/// It is left to the interpreter.
pub(super) struct NotPlain;

type Plain<T> = Result<T, NotPlain>;

/// The parts that the rule at `path` needs, itself first.
pub(super) fn lower(
    modules: &[Ref<Module>],
    data: &Value,
    path: &[&str],
) -> Result<Vec<Planned>, NotPlain> {
    let mut lowering = Lowering::new(modules, data)?;
    let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
    if !lowering.rules.contains_key(&path) {
        return Err(NotPlain);
    }
    lowering.number(&path);
    let mut parts = Vec::new();
    // Lowering a part numbers those that it needs.
    while let Some(path) = lowering.order.get(parts.len()).cloned() {
        parts.push(lowering.part(&path)?);
    }
    match parts.first() {
        Some(Planned::Function(_)) | None => Err(NotPlain),
        Some(_) => Ok(parts),
    }
}

/// All definitions at one path, each with its module.
type Definitions<'a> = Vec<(&'a Module, &'a Rule)>;

struct Lowering<'a> {
    data: &'a Value,
    rules: BTreeMap<Vec<String>, Definitions<'a>>,
    numbers: BTreeMap<Vec<String>, usize>,
    order: Vec<Vec<String>>,
}

impl<'a> Lowering<'a> {
    fn new(modules: &'a [Ref<Module>], data: &'a Value) -> Plain<Self> {
        let mut rules: BTreeMap<Vec<String>, Definitions<'a>> = BTreeMap::new();
        let mut imports = BTreeMap::new();
        for module in modules {
            let package = package_of(module)?;
            for (name, path) in names::imports(module)? {
                // The engine knows imports by the package: two modules of one that differ in them are for it to judge.
                let there = imports.insert((package.clone(), name), path.clone());
                if there.is_some_and(|there| there != path) {
                    return Err(NotPlain);
                }
            }
            for rule in &module.policy {
                let Expr::Var { span, .. } = name_of(rule)?.as_ref() else {
                    return Err(NotPlain);
                };
                let mut path = package.clone();
                path.push(span.text().to_owned());
                rules.entry(path).or_default().push((module, rule));
            }
        }
        // A rule that is also a package would be a value in two ways.
        let is_above = |path: &[String]| {
            rules
                .range(path.to_vec()..)
                .nth(1)
                .is_some_and(|(next, _)| next.starts_with(path))
        };
        if rules.keys().any(|path| is_above(path)) {
            return Err(NotPlain);
        }
        Ok(Self {
            data,
            rules,
            numbers: BTreeMap::new(),
            order: Vec::new(),
        })
    }

    /// The number of the rule at this path, which is there.
    fn number(&mut self, path: &[String]) -> usize {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = self.order.len();
        self.numbers.insert(path.to_vec(), number);
        self.order.push(path.to_vec());
        number
    }

    fn part(&mut self, path: &[String]) -> Plain<Planned> {
        let definitions = self.rules.get(path).cloned().ok_or(NotPlain)?;
        let mut default = None;
        let mut complete = Vec::new();
        let mut set = Vec::new();
        let mut function = Vec::new();
        for (module, rule) in definitions {
            match rule {
                Rule::Default { args, value, .. } => {
                    if !args.is_empty() || default.is_some() {
                        return Err(NotPlain);
                    }
                    let mut names = Names::new(module);
                    let value = self.expression(value, &mut names)?;
                    default = Some(constant(value)?);
                }
                Rule::Spec { head, bodies, .. } => match head {
                    RuleHead::Compr { assign, .. } => {
                        let written = Written {
                            assign: assign.as_ref(),
                            bodies,
                        };
                        complete.push(self.definition(&written, Names::new(module))?);
                    }
                    RuleHead::Set { key, .. } => {
                        let key = key.as_ref().ok_or(NotPlain)?;
                        set.push(self.member(module, key, bodies)?);
                    }
                    RuleHead::Func { args, assign, .. } => {
                        let mut names = Names::new(module);
                        let patterns = patterns(args, &mut names)?;
                        let written = Written {
                            assign: assign.as_ref(),
                            bodies,
                        };
                        // What an `else` without a value is depends on more than it says.
                        if bodies.iter().skip(1).any(|body| body.assign.is_none()) {
                            return Err(NotPlain);
                        }
                        function.push((patterns, self.definition(&written, names)?));
                    }
                },
            }
        }
        match (complete.is_empty(), set.is_empty(), function.is_empty()) {
            (_, true, true) => Ok(Planned::Complete {
                definitions: complete,
                default,
            }),
            (true, false, true) if default.is_none() => Ok(Planned::Set(set)),
            (true, true, false) if default.is_none() => Ok(Planned::Function(function)),
            _ => Err(NotPlain),
        }
    }

    /// A definition of a rule with one value, or of a function.
    fn definition(&mut self, written: &Written<'_>, mut names: Names<'_>) -> Plain<Definition> {
        let truth = || Node::Constant(Value::Bool(true));
        let mut bodies = Vec::new();
        if written.bodies.is_empty() {
            let output = match written.assign {
                Some(assign) => self.expression(&assign.value, &mut names)?,
                None => truth(),
            };
            bodies.push(Body {
                steps: Vec::new(),
                output,
                loops: false,
            });
        }
        for (at, body) in written.bodies.iter().enumerate() {
            if body.is_else != (at > 0) {
                return Err(NotPlain);
            }
            let assign = if at == 0 {
                written.assign
            } else {
                body.assign.as_ref()
            };
            bodies.push(self.body(&body.query, &mut names, |lowering, names| {
                assign.map_or_else(
                    || Ok(truth()),
                    |assign| lowering.expression(&assign.value, names),
                )
            })?);
        }
        Ok(Definition {
            bodies,
            slots: names.slots(),
        })
    }

    /// A definition that puts a member into a set.
    fn member(&mut self, module: &Module, key: &ExprRef, bodies: &[RuleBody]) -> Plain<Definition> {
        let mut names = Names::new(module);
        let body = match bodies {
            [] => Body {
                steps: Vec::new(),
                output: self.expression(key, &mut names)?,
                loops: false,
            },
            [body] => self.body(&body.query, &mut names, |lowering, names| {
                lowering.expression(key, names)
            })?,
            _ => return Err(NotPlain),
        };
        Ok(Definition {
            bodies: vec![body],
            slots: names.slots(),
        })
    }

    /// Conditions, and what they lead to, which is lowered with the names that they bind.
    fn body(
        &mut self,
        query: &Query,
        names: &mut Names<'_>,
        output: impl FnOnce(&mut Self, &mut Names<'_>) -> Plain<Node>,
    ) -> Plain<Body> {
        names.enter(declared(query)?);
        let steps = self.steps(query, names)?;
        let output = output(self, names)?;
        names.leave();
        Ok(Body {
            loops: steps.iter().any(|step| matches!(step, Step::Some { .. })),
            steps,
            output,
        })
    }

    fn steps(&mut self, query: &Query, names: &mut Names<'_>) -> Plain<Vec<Step>> {
        let mut steps = Vec::new();
        for stmt in &query.stmts {
            steps.push(self.step(stmt, names)?);
        }
        Ok(steps)
    }

    fn step(&mut self, stmt: &LiteralStmt, names: &mut Names<'_>) -> Plain<Step> {
        if !stmt.with_mods.is_empty() {
            return Err(NotPlain);
        }
        match &stmt.literal {
            Literal::SomeVars { .. } => Err(NotPlain),
            Literal::NotExpr { expr, .. } => Ok(Step::Not(self.expression(expr, names)?)),
            Literal::Expr { expr, .. } => {
                let Expr::AssignExpr { op, lhs, rhs, .. } = expr.as_ref() else {
                    return Ok(Step::Holds(self.expression(expr, names)?));
                };
                if *op != AssignOp::ColEq {
                    return Err(NotPlain);
                }
                let value = self.expression(rhs, names)?;
                Ok(Step::Bind(names.bind(variable(lhs)?)?, value))
            }
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                let collection = self.expression(collection, names)?;
                Ok(Step::Some {
                    key: bound(key.as_ref(), names)?,
                    value: names.bind(variable(value)?)?,
                    collection,
                })
            }
            Literal::Every {
                key,
                value,
                domain,
                query,
                ..
            } => {
                let domain = self.expression(domain, names)?;
                let mut own = declared(query)?;
                let members: Vec<&str> =
                    key.iter().chain([value]).map(|span| span.text()).collect();
                // The same name for a member and for a value in the body would be one too many.
                if members.iter().any(|name| own.contains(*name)) {
                    return Err(NotPlain);
                }
                own.extend(members.iter().map(|name| (*name).to_owned()));
                names.enter(own);
                let key = match key {
                    Some(key) => names.bind(key.text())?,
                    None => None,
                };
                let value = names.bind(value.text())?;
                let steps = self.steps(query, names)?;
                names.leave();
                Ok(Step::Every {
                    key,
                    value,
                    domain,
                    steps,
                })
            }
        }
    }
}

/// A definition as it is written.
struct Written<'a> {
    assign: Option<&'a RuleAssign>,
    bodies: &'a [RuleBody],
}

/// The name of a rule as it stands in its head.
fn name_of(rule: &Rule) -> Plain<&ExprRef> {
    match rule {
        // A function of nothing is a rule in some ways and none in others.
        Rule::Spec {
            head: RuleHead::Func { args, .. },
            ..
        } if args.is_empty() => Err(NotPlain),
        Rule::Spec {
            head:
                RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. },
            ..
        }
        | Rule::Default { refr, .. } => Ok(refr),
    }
}

/// How many arguments the function takes; nothing where the definitions are not those of one function.
fn arity(definitions: &[(&Module, &Rule)]) -> Option<usize> {
    let mut arities = definitions.iter().map(|(_, rule)| match rule {
        Rule::Spec {
            head: RuleHead::Func { args, .. },
            ..
        } => Some(args.len()),
        Rule::Spec { .. } | Rule::Default { .. } => None,
    });
    let first = arities.next()??;
    arities.all(|arity| arity == Some(first)).then_some(first)
}

fn package_of(module: &Module) -> Plain<Vec<String>> {
    static_names(&module.package.refr)
        .map(|(_, names)| names)
        .ok_or(NotPlain)
}

fn constant(node: Node) -> Plain<Node> {
    if matches!(node, Node::Constant(_)) {
        Ok(node)
    } else {
        Err(NotPlain)
    }
}

/// The names that the statements of a query give values to.
fn declared(query: &Query) -> Plain<std::collections::BTreeSet<String>> {
    let mut declared = std::collections::BTreeSet::new();
    let mut declare = |name: &str| {
        // A name that is given a value twice is for the interpreter to judge.
        if name == "_" || declared.insert(name.to_owned()) {
            Ok(())
        } else {
            Err(NotPlain)
        }
    };
    for stmt in &query.stmts {
        match &stmt.literal {
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { lhs, .. } = expr.as_ref() {
                    declare(variable(lhs)?)?;
                }
            }
            Literal::SomeIn { key, value, .. } => {
                for name in key.iter().chain([value]) {
                    declare(variable(name)?)?;
                }
            }
            Literal::SomeVars { .. } => return Err(NotPlain),
            Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }
    Ok(declared)
}

fn variable(expr: &ExprRef) -> Plain<&str> {
    let Expr::Var { span, .. } = expr.as_ref() else {
        return Err(NotPlain);
    };
    Ok(span.text())
}

fn bound(name: Option<&ExprRef>, names: &mut Names<'_>) -> Plain<Option<Slot>> {
    match name {
        Some(name) => names.bind(variable(name)?),
        None => Ok(None),
    }
}

fn patterns(arguments: &[ExprRef], names: &mut Names<'_>) -> Plain<Vec<Pattern>> {
    let mut patterns = Vec::new();
    let mut own = std::collections::BTreeSet::new();
    for argument in arguments {
        if let Expr::Var { span, .. } = argument.as_ref()
            && span.text() != "_"
            && !own.insert(span.text().to_owned())
        {
            return Err(NotPlain);
        }
    }
    names.enter(own);
    for argument in arguments {
        patterns.push(if let Expr::Var { span, .. } = argument.as_ref() {
            names.bind(span.text())?.map_or(Pattern::Any, Pattern::Slot)
        } else if let Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Number { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } = argument.as_ref()
        {
            Pattern::Is(value.clone())
        } else {
            return Err(NotPlain);
        });
    }
    Ok(patterns)
}
