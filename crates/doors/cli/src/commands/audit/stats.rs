//! `valetkey audit stats`: figures over the events that are asked for.

use serde_json::{Value, json};
use valetkey_approval::visible;
use valetkey_trail::{Figures, Group};

use super::{open, query};
use crate::args::StatsArgs;
use crate::fail::Fail;
use crate::out::{self, Style, styled};

/// Counts events.
pub(super) fn stats(args: &StatsArgs) -> Result<(), Fail> {
    let (reader, _) = open(&args.log)?;
    let filter = query::filter(&args.filter)?;
    let mut figures = Figures::default();
    query::each(&reader, &filter, |entry| figures.add(&entry.record))?;
    let groups = [
        ("types", &figures.types),
        ("decisions", &figures.decisions),
        ("agents", &figures.agents),
        ("users", &figures.users),
        ("sessions", &figures.sessions),
        ("resources", &figures.resources),
        ("denied", &figures.denied),
        ("hours", &figures.hours),
    ];
    if args.json {
        let mut all =
            json!({"events": figures.events, "first": figures.first, "last": figures.last});
        if let Some(members) = all.as_object_mut() {
            let groups = groups.map(|(name, group)| (name.to_owned(), value(group, args.top)));
            members.extend(groups);
        }
        out::json(&all);
        return Ok(());
    }
    out::line(&format!("{} events", figures.events));
    if let (Some(first), Some(last)) = (figures.first, figures.last) {
        out::line(&format!("from {first} to {last}"));
    }
    for (name, group) in groups.into_iter().filter(|(_, group)| !group.is_empty()) {
        let words = format!("{name} ({} different)", group.len());
        out::line(&styled(Style::Bold, &words));
        for (name, count) in group.top(args.top) {
            out::line(&format!("{count:>10}  {}", visible(name)));
        }
        if group.others() > 0 {
            out::line(&format!("{:>10}  of further names", group.others()));
        }
    }
    Ok(())
}

fn value(group: &Group, top: usize) -> Value {
    let top: Vec<_> = group
        .top(top)
        .into_iter()
        .map(|(name, count)| json!({"name": name, "count": count}))
        .collect();
    json!({"different": group.len(), "top": top, "further": group.others()})
}
