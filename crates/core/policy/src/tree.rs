//! Walks a rule's tree: every call and every whole reference in it.

use regorus::unstable::{
    Expr, ExprRef, Literal, LiteralStmt, Query, Ref, Rule, RuleAssign, RuleBody, RuleHead, Span,
};

/// What a walk meets.
pub(crate) enum Seen<'a> {
    /// A function and what it is called with.
    Call(&'a ExprRef, &'a [ExprRef]),
    /// A variable, or a chain such as `data.team.rules[x]`, whole.
    Reference(&'a ExprRef),
    /// Any expression, those above too.
    #[cfg_attr(
        not(feature = "tools"),
        expect(dead_code, reason = "who decides asks for no more than the above")
    )]
    Expr(&'a ExprRef),
    /// The statements of a body, a comprehension or an `every`.
    #[cfg_attr(
        not(feature = "tools"),
        expect(dead_code, reason = "who decides asks for no more than the above")
    )]
    Query(&'a Ref<Query>),
}

/// The work that is left: an explicit stack, since references can be nested deeper than the thread's stack.
enum Node<'a> {
    Expr(&'a ExprRef),
    Query(&'a Ref<Query>),
}

/// Calls `meet` for all that is in the rule, its head's arguments and keys included.
///
/// # Errors
/// The first error of `meet`.
pub(crate) fn walk<'a, E>(
    rule: &'a Rule,
    meet: &mut impl FnMut(Seen<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut pending = Vec::new();
    rule_parts(rule, &mut pending);
    walk_all(pending, meet)
}

/// The same for one statement, which meets everything.
#[cfg(feature = "tools")]
pub(crate) fn walk_statement<'a>(stmt: &'a LiteralStmt, meet: &mut impl FnMut(Seen<'a>)) {
    let mut pending = Vec::new();
    stmt_parts(stmt, &mut pending);
    let Ok(()) = walk_all(pending, &mut |seen| {
        meet(seen);
        Ok::<(), std::convert::Infallible>(())
    });
}

fn walk_all<'a, E>(
    mut pending: Vec<Node<'a>>,
    meet: &mut impl FnMut(Seen<'a>) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(node) = pending.pop() {
        match node {
            Node::Query(query) => {
                meet(Seen::Query(query))?;
                query_parts(query, &mut pending);
            }
            Node::Expr(expr) => {
                meet(Seen::Expr(expr))?;
                if let Expr::Call { fcn, params, .. } = expr.as_ref() {
                    meet(Seen::Call(fcn, params))?;
                }
                if is_chain(expr) {
                    meet(Seen::Reference(expr))?;
                }
                expr_parts(expr, &mut pending);
            }
        }
    }
    Ok(())
}

fn is_chain(expr: &ExprRef) -> bool {
    matches!(
        expr.as_ref(),
        Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }
    )
}

/// The names of a chain from its start up to the first part that is not a literal name, and where it begins. None for a
/// chain that begins with something else than a name.
pub(crate) fn static_names(chain: &ExprRef) -> Option<(&Span, Vec<String>)> {
    let mut names = Vec::new();
    let mut at = chain;
    loop {
        if let Expr::RefDot { refr, field, .. } = at.as_ref() {
            names.push(field.0.text().to_owned());
            at = refr;
        } else if let Expr::RefBrack { refr, index, .. } = at.as_ref() {
            match literal(index) {
                Some(name) => names.push(name),
                // Everything after the first variable is unknown.
                None => names.clear(),
            }
            at = refr;
        } else if let Expr::Var { span, .. } = at.as_ref() {
            names.push(span.text().to_owned());
            names.reverse();
            return Some((span, names));
        } else {
            return None;
        }
    }
}

fn literal(index: &ExprRef) -> Option<String> {
    if let Expr::String { value, .. } | Expr::RawString { value, .. } = index.as_ref() {
        value.as_string().ok().map(|text| text.to_string())
    } else {
        None
    }
}

fn rule_parts<'a>(rule: &'a Rule, pending: &mut Vec<Node<'a>>) {
    match rule {
        Rule::Default { args, value, .. } => {
            pending.extend(args.iter().chain([value]).map(Node::Expr));
        }
        Rule::Spec { head, bodies, .. } => {
            head_parts(head, pending);
            for RuleBody { assign, query, .. } in bodies {
                pending.extend(assigned(assign.as_ref()));
                pending.push(Node::Query(query));
            }
        }
    }
}

/// The parts of a head; its name is no reference.
fn head_parts<'a>(head: &'a RuleHead, pending: &mut Vec<Node<'a>>) {
    match head {
        RuleHead::Compr { refr, assign, .. } => {
            chain_parts(refr, pending);
            pending.extend(assigned(assign.as_ref()));
        }
        RuleHead::Func {
            refr, args, assign, ..
        } => {
            chain_parts(refr, pending);
            pending.extend(args.iter().map(Node::Expr));
            pending.extend(assigned(assign.as_ref()));
        }
        RuleHead::Set { refr, key, .. } => {
            chain_parts(refr, pending);
            pending.extend(key.iter().map(Node::Expr));
        }
    }
}

fn assigned(assign: Option<&RuleAssign>) -> impl Iterator<Item = Node<'_>> {
    assign.into_iter().map(|part| Node::Expr(&part.value))
}

/// The indexes of a chain, and its start where that is no name.
fn chain_parts<'a>(chain: &'a ExprRef, pending: &mut Vec<Node<'a>>) {
    let mut at = chain;
    loop {
        if let Expr::RefDot { refr, .. } = at.as_ref() {
            at = refr;
        } else if let Expr::RefBrack { refr, index, .. } = at.as_ref() {
            pending.push(Node::Expr(index));
            at = refr;
        } else {
            if !is_chain(at) {
                pending.push(Node::Expr(at));
            }
            return;
        }
    }
}

fn query_parts<'a>(query: &'a Ref<Query>, pending: &mut Vec<Node<'a>>) {
    for stmt in &query.stmts {
        stmt_parts(stmt, pending);
    }
}

fn stmt_parts<'a>(stmt: &'a LiteralStmt, pending: &mut Vec<Node<'a>>) {
    let LiteralStmt {
        literal, with_mods, ..
    } = stmt;
    // What is replaced by `with` is named, not used.
    pending.extend(with_mods.iter().map(|with| Node::Expr(&with.r#as)));
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

fn expr_parts<'a>(expr: &'a ExprRef, pending: &mut Vec<Node<'a>>) {
    match expr.as_ref() {
        Expr::Call { params, .. } => pending.extend(params.iter().map(Node::Expr)),
        Expr::RefDot { .. } | Expr::RefBrack { .. } => chain_parts(expr, pending),
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            pending.extend(items.iter().map(Node::Expr));
        }
        Expr::Object { fields, .. } => {
            pending.extend(
                fields
                    .iter()
                    .flat_map(|(_, key, value)| [key, value])
                    .map(Node::Expr),
            );
        }
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            pending.extend([Node::Expr(term), Node::Query(query)]);
        }
        Expr::ObjectCompr {
            key, value, query, ..
        } => pending.extend([Node::Expr(key), Node::Expr(value), Node::Query(query)]),
        Expr::UnaryExpr { expr, .. } => pending.push(Node::Expr(expr)),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => pending.extend([lhs, rhs].map(Node::Expr)),
        Expr::Membership {
            key,
            value,
            collection,
            ..
        } => pending.extend(key.iter().chain([value, collection]).map(Node::Expr)),
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
    }
}
