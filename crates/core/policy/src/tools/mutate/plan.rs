//! Which changes are made: each a piece of the source text put in the place of another.

use std::convert::Infallible;
use std::ops::Range;

use regorus::Engine;
use regorus::unstable::{
    ArithOp, BinOp, BoolOp, Expr, ExprRef, Literal, LiteralStmt, Module, Ref, Rule, RuleHead, Span,
};
use serde::Serialize;

use crate::error::place_of;
use crate::tools::steps::{text_of, whole, written};
use crate::tree::{Seen, walk};

/// A bundle's module with one thing changed.
#[derive(Clone, Debug, Serialize)]
pub struct Mutant {
    /// The module's path within the bundle.
    pub file: String,
    /// The line that is changed.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// What is changed, in words.
    pub change: String,
    /// The whole module, changed.
    #[serde(skip)]
    pub(crate) text: String,
}

/// Every mutant of the modules that decide.
pub(super) fn all(engine: &mut Engine) -> Vec<Mutant> {
    let modules: Vec<Ref<Module>> = engine.get_modules().clone();
    let mut mutants = Vec::new();
    for module in &modules {
        let source = &module.package.span.source;
        if source.file().ends_with("_test.rego") {
            continue;
        }
        let mut changes = Changes {
            source: source.contents(),
            file: source.file(),
            mutants: Vec::new(),
        };
        for rule in &module.policy {
            changes.of_rule(rule);
            let Ok(()) = walk(rule.as_ref(), &mut |seen| {
                match seen {
                    Seen::Query(query) => {
                        let alone = query.stmts.len() == 1;
                        query
                            .stmts
                            .iter()
                            .for_each(|stmt| changes.of_stmt(stmt, alone));
                    }
                    Seen::Expr(expr) => changes.of_expr(expr),
                    Seen::Call(..) | Seen::Reference(_) => {}
                }
                Ok::<(), Infallible>(())
            });
        }
        mutants.append(&mut changes.mutants);
    }
    mutants.sort_by(|a, b| {
        (&a.file, a.line, a.column, &a.change).cmp(&(&b.file, b.line, b.column, &b.change))
    });
    mutants.dedup_by(|a, b| a.file == b.file && a.text == b.text);
    mutants
}

struct Changes<'a> {
    source: &'a str,
    file: &'a str,
    mutants: Vec<Mutant>,
}

impl Changes<'_> {
    fn put(&mut self, span: &Span, range: Range<usize>, with: &str, change: String) {
        let (Some(before), Some(after)) =
            (self.source.get(..range.start), self.source.get(range.end..))
        else {
            return;
        };
        let place = place_of(span);
        self.mutants.push(Mutant {
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            change,
            text: format!("{before}{with}{after}"),
        });
    }

    /// One definition of several is taken away.
    fn of_rule(&mut self, rule: &Ref<Rule>) {
        let Rule::Spec { head, span, .. } = rule.as_ref() else {
            return;
        };
        if let RuleHead::Set { refr, .. } = head {
            let name = refr.span().text();
            self.put(
                span,
                whole(span),
                &format!("{name} contains \"never\" if 1 == 2"),
                format!("a definition of `{name}` is taken away"),
            );
        }
    }

    fn of_stmt(&mut self, stmt: &LiteralStmt, alone: bool) {
        let span = &stmt.span;
        let text = written(span);
        let turned = match &stmt.literal {
            Literal::NotExpr { .. } => text
                .strip_prefix("not ")
                .map(|rest| rest.trim_start().to_owned()),
            // What gives a variable its value cannot be turned round.
            Literal::Expr { expr, .. } if !assigns(expr) => Some(format!("not {text}")),
            Literal::Expr { .. }
            | Literal::Every { .. }
            | Literal::SomeVars { .. }
            | Literal::SomeIn { .. } => None,
        };
        let is_condition = turned.is_some() || matches!(stmt.literal, Literal::Every { .. });
        if let Some(turned) = turned {
            self.put(
                span,
                whole(span),
                &turned,
                format!("turned round: `{}`", short(text)),
            );
        }
        if is_condition {
            let with = if alone { "true" } else { "" };
            // The line break stays; `a; b` loses what stands between.
            let mut range = whole(span);
            if !alone
                && self
                    .source
                    .get(range.end..)
                    .is_some_and(|rest| rest.starts_with(';'))
            {
                range.end = range.end.saturating_add(1);
            }
            self.put(span, range, with, format!("left out: `{}`", short(text)));
        }
    }

    fn of_expr(&mut self, expr: &ExprRef) {
        let span = expr.span();
        if let Expr::BoolExpr { op, lhs, rhs, .. } = expr.as_ref() {
            let (was, is) = match op {
                BoolOp::Lt => ("<", "<="),
                BoolOp::Le => ("<=", "<"),
                BoolOp::Gt => (">", ">="),
                BoolOp::Ge => (">=", ">"),
                BoolOp::Eq => ("==", "!="),
                BoolOp::Ne => ("!=", "=="),
            };
            self.operator(span, lhs, rhs, was, is);
        } else if let Expr::ArithExpr { op, lhs, rhs, .. } = expr.as_ref() {
            let (was, is) = match op {
                ArithOp::Add => ("+", "-"),
                ArithOp::Sub => ("-", "+"),
                ArithOp::Mul => ("*", "+"),
                ArithOp::Div => ("/", "*"),
                ArithOp::Mod => ("%", "+"),
            };
            self.operator(span, lhs, rhs, was, is);
        } else if let Expr::BinExpr { op, lhs, rhs, .. } = expr.as_ref() {
            let (was, is) = match op {
                BinOp::Intersection => ("&", "|"),
                BinOp::Union => ("|", "&"),
            };
            self.operator(span, lhs, rhs, was, is);
        } else if let Expr::Number { .. } = expr.as_ref() {
            if let Ok(number) = span.text().parse::<i64>() {
                let other = number.saturating_add(1).to_string();
                self.put(
                    span,
                    whole(span),
                    &other,
                    format!("`{number}` becomes `{other}`"),
                );
            }
        } else if let Expr::Bool { .. } = expr.as_ref() {
            let other = if span.text() == "true" {
                "false"
            } else {
                "true"
            };
            self.put(
                span,
                whole(span),
                other,
                format!("`{}` becomes `{other}`", span.text()),
            );
        } else if let Some(text) = text_of(expr) {
            self.text(span, &text);
        } else if let Expr::Set { items, .. } = expr.as_ref()
            && items.len() > 1
        {
            self.without_items(items);
        }
    }

    /// Words for people are not looked at by any rule: what has a space stays as it is, and so does what is empty.
    fn text(&mut self, span: &Span, text: &str) {
        if text.is_empty() || text.contains(' ') {
            return;
        }
        let other = match text {
            "allow" => "deny".to_owned(),
            "deny" => "allow".to_owned(),
            _ => format!("{text}~"),
        };
        let Ok(quoted) = serde_json::to_string(&other) else {
            return;
        };
        self.put(
            span,
            whole(span),
            &quoted,
            format!("`{text}` becomes `{other}`"),
        );
    }

    /// Each member of a set left out.
    fn without_items(&mut self, items: &[ExprRef]) {
        for (number, item) in items.iter().enumerate() {
            let span = item.span();
            let (start, end) = match items.get(number.saturating_add(1)) {
                Some(next) => (whole(span).start, whole(next.span()).start),
                None => match number.checked_sub(1).and_then(|before| items.get(before)) {
                    Some(before) => (whole(before.span()).end, whole(span).end),
                    None => continue,
                },
            };
            self.put(
                span,
                start..end,
                "",
                format!("left out of a set: `{}`", short(written(span))),
            );
        }
    }

    fn operator(&mut self, span: &Span, lhs: &ExprRef, rhs: &ExprRef, was: &str, is: &str) {
        let between = whole(lhs.span()).end..whole(rhs.span()).start;
        let Some(at) = self
            .source
            .get(between.clone())
            .and_then(|text| text.find(was))
        else {
            return;
        };
        let start = between.start.saturating_add(at);
        let range = start..start.saturating_add(was.len());
        self.put(span, range, is, format!("`{was}` becomes `{is}`"));
    }
}

fn assigns(expr: &ExprRef) -> bool {
    matches!(expr.as_ref(), Expr::AssignExpr { .. })
}

fn short(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(80) {
        words.truncate(end);
        words.push('…');
    }
    words
}
