//! Conditions that can never hold, and definitions that are never reached.

mod forms;

use std::collections::BTreeMap;
use std::convert::Infallible;

use regorus::Value;
use regorus::unstable::{
    BoolOp, Expr, ExprRef, Literal, LiteralStmt, Query, Ref, Rule, RuleBody, RuleHead, Span,
};

use super::{About, at};
use crate::tools::Finding;
use crate::tools::schema::Shape;
use crate::tools::steps::{Step, call_of, nearest, steps, text_of, written};
use crate::tree::{Seen, walk};

const CODE: &str = "never-holds";

pub(super) fn find(about: &About<'_>) -> Vec<Finding> {
    let names = aliases(about);
    let mut findings = Vec::new();
    for rule in &about.module.policy {
        if let Rule::Spec { bodies, .. } = rule.as_ref() {
            findings.extend(unreachable(rule, bodies));
        }
        let Ok(()) = walk(rule.as_ref(), &mut |seen| {
            match seen {
                Seen::Query(query) => findings.extend(contradiction(query)),
                Seen::Expr(expr) => findings.extend(of_expr(&names, expr)),
                Seen::Call(..) | Seen::Reference(_) => {}
            }
            Ok::<(), Infallible>(())
        });
    }
    findings.extend(twice(about));
    findings
}

/// What is known of names: those of imports, and of rules that are nothing but a part of the input.
type Names = BTreeMap<String, Shape>;

fn aliases(about: &About<'_>) -> Names {
    let mut names = Names::from([("input".to_owned(), Shape::input())]);
    for (name, path) in &about.imports {
        if let Some((first, rest)) = path.split_first()
            && first == "input"
            && let Some(shape) = rest
                .iter()
                .try_fold(Shape::input(), |shape, name| shape.member(name))
        {
            names.insert(name.clone(), shape);
        }
    }
    for rule in &about.module.policy {
        let Rule::Spec {
            head:
                RuleHead::Compr {
                    refr,
                    assign: Some(assign),
                    ..
                },
            bodies,
            ..
        } = rule.as_ref()
        else {
            continue;
        };
        let Some((name, rest)) = steps(refr) else {
            continue;
        };
        if rest.is_empty()
            && bodies.len() <= 1
            && let Some(shape) = alias(&names, &assign.value)
        {
            names.insert(name, shape);
        }
    }
    names
}

/// `input.request.resource`, or `{action | some action in input.request.actions}`.
fn alias(names: &Names, value: &ExprRef) -> Option<Shape> {
    if let Expr::SetCompr { term, query, .. } | Expr::ArrayCompr { term, query, .. } =
        value.as_ref()
    {
        let [stmt] = query.stmts.as_slice() else {
            return None;
        };
        let Literal::SomeIn {
            key: None,
            value,
            collection,
            ..
        } = &stmt.literal
        else {
            return None;
        };
        let same = written(value.span()) == written(term.span());
        return same.then(|| shape_of(names, collection)).flatten();
    }
    shape_of(names, value)
}

fn shape_of(names: &Names, expr: &ExprRef) -> Option<Shape> {
    let (first, rest) = steps(expr)?;
    let start = *names.get(&first)?;
    rest.iter().try_fold(start, |shape, step| match step {
        Step::Name(name, _) => shape.member(name),
        Step::Any => shape.items(),
    })
}

/// An `else` after a definition without a condition, or a definition behind the word `false`.
fn unreachable(rule: &Rule, bodies: &[RuleBody]) -> Option<Finding> {
    let first = bodies
        .iter()
        .position(|body| body.query.stmts.is_empty() || is_true(&body.query))?;
    let next = bodies
        .get(first.saturating_add(1))
        .filter(|body| body.is_else)?;
    let message = "this `else` is never reached: what stands before it has no condition".to_owned();
    // The span of a body without a condition may be empty.
    let span = if next.span.text().is_empty() {
        rule.span()
    } else {
        &next.span
    };
    Some(Finding::warning("unreachable", at(span), message))
}

fn is_true(query: &Ref<Query>) -> bool {
    query.stmts.iter().all(|stmt| {
        matches!(&stmt.literal, Literal::Expr { expr, .. }
            if matches!(expr.as_ref(), Expr::Bool { value, .. } if *value == Value::from(true)))
    })
}

/// Two statements of one body of which at most one holds.
fn contradiction(query: &Ref<Query>) -> Option<Finding> {
    let mut equal: BTreeMap<&str, (&Value, &Span)> = BTreeMap::new();
    let mut said: BTreeMap<&str, bool> = BTreeMap::new();
    for LiteralStmt {
        literal,
        with_mods,
        span,
        ..
    } in &query.stmts
    {
        if !with_mods.is_empty() {
            continue;
        }
        let (expr, is) = match literal {
            Literal::Expr { expr, .. } => (expr, true),
            Literal::NotExpr { expr, .. } => (expr, false),
            Literal::SomeVars { .. } | Literal::SomeIn { .. } | Literal::Every { .. } => continue,
        };
        let text = written(expr.span());
        if said.insert(text, is).is_some_and(|before| before != is) {
            let message = format!("`{text}` cannot both hold and not hold");
            return Some(Finding::warning(CODE, at(span), message));
        }
        if let Some((name, value)) = equality(expr).filter(|_| is)
            && let Some((before, _)) = equal.insert(name, (value, span))
            && before != value
        {
            let message = format!("`{name}` cannot be both {before} and {value}");
            return Some(Finding::warning(CODE, at(span), message));
        }
    }
    None
}

/// The text of a reference without variables, and the literal that it must be equal to.
fn equality(expr: &ExprRef) -> Option<(&str, &Value)> {
    let Expr::BoolExpr {
        op: BoolOp::Eq,
        lhs,
        rhs,
        ..
    } = expr.as_ref()
    else {
        return None;
    };
    let (chain, value) = match (literal(lhs), literal(rhs)) {
        (None, Some(value)) => (lhs, value),
        (Some(value), None) => (rhs, value),
        _ => return None,
    };
    let (_, rest) = steps(chain)?;
    let is_fixed = rest.iter().all(|step| matches!(step, Step::Name(..)));
    is_fixed.then(|| (written(chain.span()), value))
}

fn literal(expr: &ExprRef) -> Option<&Value> {
    if let Expr::String { value, .. }
    | Expr::RawString { value, .. }
    | Expr::Number { value, .. }
    | Expr::Bool { value, .. }
    | Expr::Null { value, .. } = expr.as_ref()
    {
        Some(value)
    } else {
        None
    }
}

fn of_expr(names: &Names, expr: &ExprRef) -> Vec<Finding> {
    if let Expr::BoolExpr {
        op, lhs, rhs, span, ..
    } = expr.as_ref()
    {
        return comparison(names, op, lhs, rhs, span);
    }
    if let Expr::ArithExpr { lhs, rhs, .. } | Expr::BinExpr { lhs, rhs, .. } = expr.as_ref() {
        return [of_words(names, lhs, rhs), of_words(names, rhs, lhs)].concat();
    }
    if let Expr::Membership {
        value, collection, ..
    } = expr.as_ref()
    {
        let items = shape_of(names, collection).and_then(Shape::items);
        let foreign = items.map_or_else(Vec::new, |shape| foreign(shape, value));
        return [foreign, of_words(names, value, collection)].concat();
    }
    let Some((name, arguments)) = call_of(expr) else {
        return Vec::new();
    };
    forms::of_call(names, &name, arguments)
        .into_iter()
        .collect()
}

fn comparison(
    names: &Names,
    op: &BoolOp,
    lhs: &ExprRef,
    rhs: &ExprRef,
    span: &Span,
) -> Vec<Finding> {
    let never = |message: String| vec![Finding::warning(CODE, at(span), message)];
    if let (Some(a), Some(b)) = (literal(lhs), literal(rhs)) {
        let holds = match op {
            BoolOp::Eq => a == b,
            BoolOp::Ne => a != b,
            BoolOp::Lt => a < b,
            BoolOp::Le => a <= b,
            BoolOp::Gt => a > b,
            BoolOp::Ge => a >= b,
        };
        let word = if holds { "always" } else { "never" };
        return never(format!("`{}` {word} holds", written(span)));
    }
    let is_count = |expr: &ExprRef| call_of(expr).is_some_and(|(name, _)| name == "count");
    let zero = Value::from(0_u64);
    let below = |value: &Value| matches!(value, Value::Number(_)) && *value < zero;
    let is_zero = |value: &Value| *value == zero;
    let impossible = match op {
        BoolOp::Lt => is_count(lhs) && literal(rhs).is_some_and(|v| is_zero(v) || below(v)),
        BoolOp::Gt => is_count(rhs) && literal(lhs).is_some_and(|v| is_zero(v) || below(v)),
        BoolOp::Le | BoolOp::Eq => is_count(lhs) && literal(rhs).is_some_and(below),
        BoolOp::Ge | BoolOp::Ne => false,
    };
    if impossible {
        return never(format!(
            "`{}` never holds: a count is not below 0",
            written(span)
        ));
    }
    if !matches!(op, BoolOp::Eq | BoolOp::Ne) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (one, other) in [(lhs, rhs), (rhs, lhs)] {
        findings.extend(of_words(names, one, other));
        findings.extend(forms::equal(names, one, other));
    }
    findings
}

/// Where `one` is known to be of a closed list of texts, or a list of them: literals of `other` that are not among them.
fn of_words(names: &Names, one: &ExprRef, other: &ExprRef) -> Vec<Finding> {
    let Some(shape) = shape_of(names, one) else {
        return Vec::new();
    };
    foreign(shape.items().unwrap_or(shape), other)
}

fn foreign(shape: Shape, other: &ExprRef) -> Vec<Finding> {
    let Some(words) = shape.texts() else {
        return Vec::new();
    };
    let single = [other.clone()];
    let literals = if let Expr::Set { items, .. } | Expr::Array { items, .. } = other.as_ref() {
        items.as_slice()
    } else {
        &single
    };
    literals
        .iter()
        .filter_map(|item| Some((item, text_of(item)?)))
        .filter(|(_, text)| !words.contains(&text.as_str()))
        .map(|(item, text)| {
            let message = format!("`{text}` is never there: it is one of {}", words.join(", "));
            Finding::error("unknown-word", at(item.span()), message)
                .suggesting(nearest(&text, words.iter().copied()))
        })
        .collect()
}

/// Definitions that say what another one says already.
fn twice(about: &About<'_>) -> Vec<Finding> {
    let mut seen: BTreeMap<String, &Span> = BTreeMap::new();
    let mut findings = Vec::new();
    for rule in &about.module.policy {
        let span = rule.span();
        let words: Vec<&str> = written(span).split_whitespace().collect();
        if let Some(before) = seen.insert(words.join(" "), span) {
            let message = format!("the same is said in line {}", before.line);
            findings.push(Finding::warning("duplicate", at(span), message));
        }
    }
    findings
}
