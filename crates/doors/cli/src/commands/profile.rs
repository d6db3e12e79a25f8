//! `valetkey profile`: what is known of agents.

use serde::Serialize;

use crate::agent_args::ProfileCommand;
use crate::agents::profile::{self, Named};
use crate::args::ListArgs;
use crate::fail::Fail;
use crate::learn;
use crate::out::{self, Style, styled};

pub(crate) fn command(command: ProfileCommand) -> Result<u8, Fail> {
    match command {
        ProfileCommand::Learn(args) => return learn::command(*args),
        ProfileCommand::List(args) => list(&args)?,
        ProfileCommand::Show { name } => out::line(profile::named(&name)?.text.trim_end()),
    }
    Ok(0)
}

#[derive(Serialize)]
struct Listed {
    name: String,
    summary: String,
    programs: Vec<String>,
    hosts: Vec<String>,
    /// Whether it is the person's own.
    own: bool,
}

fn list(args: &ListArgs) -> Result<(), Fail> {
    let named = profile::names()?;
    let all: Vec<Named> = named
        .iter()
        .map(|name| profile::named(name))
        .collect::<Result<_, _>>()?;
    if args.json {
        let listed = all.into_iter().map(|named| Listed {
            name: named.name,
            summary: named.profile.summary,
            programs: named.profile.programs,
            hosts: named.profile.network.hosts,
            own: named.is_own,
        });
        out::json(&listed.collect::<Vec<_>>());
        return Ok(());
    }
    for named in all {
        let name = styled(Style::Bold, &format!("{:<16}", named.name));
        let own = if named.is_own { " (yours)" } else { "" };
        out::line(&format!("{name} {}{own}", named.profile.summary));
    }
    Ok(())
}
