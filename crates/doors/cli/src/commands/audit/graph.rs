//! `valetkey audit graph`: what led to an event, and what came of it.

use serde_json::json;
use valetkey_trail::{Filter, Graph, Line, Link, harmless_json};

use super::{find, one_line, open, query};
use crate::args::GraphArgs;
use crate::fail::Fail;
use crate::out::{self, Style, styled};

/// Draws the graph around an event.
pub(super) fn graph(args: &GraphArgs) -> Result<(), Fail> {
    let (reader, _) = open(&args.log)?;
    let asked = find(&reader, &args.event)?.record;
    // Causes do not leave a session; what belongs to none is looked for everywhere.
    let filter = Filter {
        sessions: asked.session.iter().cloned().collect(),
        ..Filter::default()
    };
    let mut graph = Graph::default();
    query::each(&reader, &filter, |entry| graph.push(entry.record))?;
    let lines = graph.draw(&asked.event_id).unwrap_or_default();
    if args.json {
        let shown: Vec<_> = lines.iter().take(args.most).map(value).collect();
        out::json(
            &json!({"event": asked.event_id, "lines": shown, "left_out": lines.len().saturating_sub(shown.len())}),
        );
        return Ok(());
    }
    for line in lines.iter().take(args.most) {
        let folded = if line.count > 1 {
            styled(Style::Bold, &format!("  × {}", line.count))
        } else {
            String::new()
        };
        let mark = if line.is_asked { " ◀" } else { "" };
        out::line(&format!(
            "{}{}{}{folded}{mark}",
            line.branches,
            how(line.link),
            one_line(line.record).trim_start()
        ));
    }
    if lines.len() > args.most {
        let more = lines.len().saturating_sub(args.most);
        out::error(&format!("{more} lines more: `--most N` prints them"));
    }
    Ok(())
}

/// A mark for what the log does not say in so many words.
fn how(link: Option<Link>) -> String {
    match link {
        None | Some(Link::Cause) => String::new(),
        Some(Link::Capability) => styled(Style::Dim, "(by capability) "),
        Some(Link::Request) => styled(Style::Dim, "(by request) "),
        Some(Link::Session) => styled(Style::Dim, "(by session) "),
    }
}

fn value(line: &Line<'_>) -> serde_json::Value {
    let link = line.link.map(|link| match link {
        Link::Cause => "cause",
        Link::Capability => "capability",
        Link::Request => "request",
        Link::Session => "session",
    });
    let depth = line.branches.chars().count() / 3;
    let event = serde_json::to_value(line.record).unwrap_or_default();
    json!({"depth": depth, "link": link, "count": line.count, "event": event, "text": harmless_json(&one_line(line.record))})
}
