//! What valid Rego may not do here: each module's tree is walked when a bundle is loaded, and what is refused is named with its place.

use regorus::Engine;
use regorus::unstable::{
    BUILTINS, Expr, ExprRef, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleAssign, RuleBody,
    RuleHead, Span,
};

use crate::builtins::{is_available, why_not};
use crate::{Place, PolicyError};

/// Refuses the first thing in the engine's modules that a policy may not do.
///
/// # Errors
/// [`PolicyError::Refused`] with the place.
pub(crate) fn check(engine: &mut Engine) -> Result<(), PolicyError> {
    engine.get_modules().iter().try_for_each(check_module)
}

/// The work that is left: an explicit stack, since a hostile module can nest references deeper than the thread's stack.
enum Node<'a> {
    Expr(&'a ExprRef),
    Query(&'a Ref<Query>),
}

fn check_module(module: &Ref<Module>) -> Result<(), PolicyError> {
    let in_test = module.package.span.source.file().ends_with("_test.rego");
    let mut pending = Vec::new();
    for rule in &module.policy {
        rule_parts(rule, &mut pending)?;
        while let Some(node) = pending.pop() {
            match node {
                Node::Expr(expr) => check_expr(expr, in_test, &mut pending)?,
                Node::Query(query) => query_parts(query, &mut pending),
            }
        }
    }
    Ok(())
}

fn rule_parts<'a>(rule: &'a Ref<Rule>, pending: &mut Vec<Node<'a>>) -> Result<(), PolicyError> {
    match rule.as_ref() {
        Rule::Default {
            refr, args, value, ..
        } => {
            pending.extend([refr, value].into_iter().chain(args).map(Node::Expr));
        }
        Rule::Spec { head, bodies, .. } => {
            head_parts(head, pending)?;
            for RuleBody { assign, query, .. } in bodies {
                pending.extend(assign.iter().map(|RuleAssign { value, .. }| Node::Expr(value)));
                pending.push(Node::Query(query));
            }
        }
    }
    Ok(())
}

fn head_parts<'a>(head: &'a RuleHead, pending: &mut Vec<Node<'a>>) -> Result<(), PolicyError> {
    let assigned = |assign: &'a Option<RuleAssign>| assign.iter().map(|part| Node::Expr(&part.value));
    match head {
        RuleHead::Compr { refr, assign, .. } => {
            pending.push(Node::Expr(refr));
            pending.extend(assigned(assign));
        }
        RuleHead::Func {
            refr, args, assign, ..
        } => {
            // The name in a function's head is no call.
            pending.extend(args.iter().map(Node::Expr));
            pending.extend(assigned(assign));
            if !matches!(refr.as_ref(), Expr::Var { .. }) {
                pending.push(Node::Expr(refr));
            }
        }
        RuleHead::Set { span, refr, key } => {
            if !matches!(refr.as_ref(), Expr::Var { .. }) {
                return Err(refused(
                    span,
                    "contains".to_owned(),
                    "a set at the end of a dotted rule name gets other members than in OPA; give it a plain name",
                ));
            }
            pending.extend(key.iter().map(Node::Expr));
        }
    }
    Ok(())
}

fn query_parts<'a>(query: &'a Ref<Query>, pending: &mut Vec<Node<'a>>) {
    for LiteralStmt {
        literal, with_mods, ..
    } in &query.stmts
    {
        pending.extend(
            with_mods
                .iter()
                .flat_map(|with| [&with.refr, &with.r#as])
                .map(Node::Expr),
        );
        match literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => pending.extend(key.iter().chain([value, collection]).map(Node::Expr)),
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                pending.push(Node::Expr(expr));
            }
            Literal::Every { domain, query, .. } => {
                pending.extend([Node::Expr(domain), Node::Query(query)]);
            }
        }
    }
}

fn check_expr<'a>(
    expr: &'a ExprRef,
    in_test: bool,
    pending: &mut Vec<Node<'a>>,
) -> Result<(), PolicyError> {
    let mut add = |parts: &[&'a ExprRef]| pending.extend(parts.iter().copied().map(Node::Expr));
    match expr.as_ref() {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            pending.extend(items.iter().map(Node::Expr));
        }
        Expr::Object { fields, .. } => {
            for (_, key, value) in fields {
                add(&[key, value]);
            }
        }
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            add(&[term]);
            pending.push(Node::Query(query));
        }
        Expr::ObjectCompr {
            key, value, query, ..
        } => {
            add(&[key, value]);
            pending.push(Node::Query(query));
        }
        Expr::Call { fcn, params, .. } => {
            check_call(fcn, in_test)?;
            pending.extend(params.iter().map(Node::Expr));
        }
        Expr::UnaryExpr { expr, .. } => add(&[expr]),
        Expr::RefDot { refr, .. } => add(&[refr]),
        Expr::RefBrack { refr, index, .. } => add(&[refr, index]),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => add(&[lhs, rhs]),
        Expr::Membership {
            key,
            value,
            collection,
            ..
        } => pending.extend(key.iter().chain([value, collection]).map(Node::Expr)),
    }
    Ok(())
}

fn check_call(function: &ExprRef, in_test: bool) -> Result<(), PolicyError> {
    let Some(name) = dotted_name(function) else {
        return Err(refused(
            function.span(),
            "call".to_owned(),
            "a function must be called by a plain dotted name",
        ));
    };
    let printing = name == "print";
    let known = printing || BUILTINS.contains_key(name.as_str()) || why_known(&name);
    if !known || is_available(&name) || printing && in_test {
        // A name that the engine does not know is one of the policy's own, or the compiler says that it is unknown.
        return Ok(());
    }
    let reason = why_not(&name);
    Err(refused(function.span(), name, reason))
}

/// Names of OPA that this engine lacks but that deserve their reason instead of "unknown function".
fn why_known(name: &str) -> bool {
    matches!(
        name.split_once('.'),
        Some(("http" | "opa" | "rand" | "uuid" | "graph" | "glob" | "time", _))
    ) || matches!(name, "json.match_schema" | "json.verify_schema")
}

fn dotted_name(function: &ExprRef) -> Option<String> {
    let mut parts = Vec::new();
    let mut at = function;
    loop {
        match at.as_ref() {
            Expr::Var { span, .. } => {
                parts.push(span.text());
                break;
            }
            Expr::RefDot { refr, field, .. } => {
                parts.push(field.0.text());
                at = refr;
            }
            _ => return None,
        }
    }
    parts.reverse();
    Some(parts.join("."))
}

fn refused(span: &Span, what: String, reason: &'static str) -> PolicyError {
    PolicyError::Refused {
        place: Place {
            file: span.source.file().clone(),
            line: span.line,
            column: span.col,
        },
        what,
        reason,
    }
}

#[cfg(test)]
mod tests;
