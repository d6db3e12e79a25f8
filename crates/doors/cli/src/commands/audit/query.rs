//! `valetkey audit tail` and `query`: the events that are asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use valetkey_model::{AgentId, Resource, Timestamp};
use valetkey_privacy::{PrivacyKey, variants};
use valetkey_store::{Entry, LogReader};
use valetkey_trail::{Filter, UserTerm};

use super::index::Asked;
use super::print::Printer;
use super::{open, unreadable};
use crate::args::{FilterArgs, QueryArgs, TailArgs};
use crate::fail::{Fail, Status};
use crate::home;

/// How often a followed log is looked at.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// Prints the last events, and those that come.
pub(super) fn tail(args: &TailArgs) -> Result<(), Fail> {
    let (reader, _) = open(&args.log)?;
    let filter = filter(&args.filter)?;
    let mut next = reader.tail(1).map_err(unreadable)?;
    let mut next = next
        .pop()
        .map_or(0, |entry| entry.record.seq.saturating_add(1));
    let mut printer = Printer::new(args.format.format());
    let shown = last(&reader, &filter, args.lines)?;
    shown.iter().for_each(|entry| printer.print(entry));
    if let Some(entry) = shown.last() {
        // What came between the two looks is shown once.
        next = next.max(entry.record.seq.saturating_add(1));
    }
    if !args.follow {
        printer.finish();
        return Ok(());
    }
    let mut entries = reader.entries(next).map_err(unreadable)?;
    loop {
        printer.flush();
        std::thread::sleep(FOLLOW_PAUSE);
        for entry in entries.by_ref() {
            let entry = entry.map_err(unreadable)?;
            if filter.matches(&entry.record) {
                printer.print(&entry);
            }
        }
    }
}

/// Prints the events that are asked for.
pub(super) fn query(args: &QueryArgs) -> Result<(), Fail> {
    let (reader, dir) = open(&args.log)?;
    let filter = filter(&args.filter)?;
    let indexed = Asked::of(&dir, &filter).filter(|_| !args.no_index);
    let mut printer = Printer::new(args.format.format());
    match (args.lines, &indexed) {
        (Some(lines), Some(indexed)) => indexed
            .last(&reader, lines)?
            .iter()
            .for_each(|entry| printer.print(entry)),
        (Some(lines), None) => last(&reader, &filter, lines)?
            .iter()
            .for_each(|entry| printer.print(entry)),
        (None, Some(indexed)) => indexed.each(&reader, |entry| printer.print(&entry))?,
        (None, None) => each(&reader, &filter, |entry| printer.print(&entry))?,
    }
    printer.finish();
    Ok(())
}

/// Calls `f` with every event that matches, in order.
pub(super) fn each(
    reader: &LogReader,
    filter: &Filter,
    mut f: impl FnMut(Entry),
) -> Result<(), Fail> {
    let start = match filter.since {
        Some(since) => reader.first_segment_since(since).map_err(unreadable)?,
        None => 0,
    };
    let sieve = filter.sieve();
    let entries = reader.entries(start).map_err(unreadable)?;
    for entry in entries.sieved(move |bytes| sieve.may_match(bytes)) {
        let entry = entry.map_err(unreadable)?;
        if filter.matches(&entry.record) {
            f(entry);
        }
    }
    Ok(())
}

/// The last `count` events that match, oldest first.
fn last(reader: &LogReader, filter: &Filter, count: usize) -> Result<Vec<Entry>, Fail> {
    if filter.is_empty() {
        return reader.tail(count).map_err(unreadable);
    }
    let sieve = filter.sieve();
    reader
        .tail_where(
            count,
            |bytes| sieve.may_match(bytes),
            |record| filter.matches(record),
        )
        .map_err(unreadable)
}

/// The filter that the words of the command line mean.
pub(super) fn filter(args: &FilterArgs) -> Result<Filter, Fail> {
    let now = now();
    let agents = args.agents.iter().map(|name| {
        AgentId::try_from(name.clone()).map_err(|error| Fail::new(Status::Usage, error))
    });
    let key = privacy_key(args)?;
    Ok(Filter {
        since: args.since.map(|when| when.seen_from(now)),
        until: args.until.map(|when| when.seen_from(now)),
        kinds: args.kinds.clone(),
        decisions: args.decisions.clone(),
        outcomes: args.outcomes.clone(),
        actors: args.actors.clone(),
        agents: agents.collect::<Result<_, _>>()?,
        users: args
            .users
            .iter()
            .flat_map(|user| user_terms(user, key.as_ref()))
            .collect(),
        sessions: args.sessions.clone(),
        requests: args.requests.clone(),
        capabilities: args.capabilities.clone(),
        resources: resources(&args.resources, key.as_ref()),
        texts: args.texts.clone(),
    })
}

/// The key of the keyed hashes, where this process may read it: without it they say nothing, and names find what stands as a name alone.
fn privacy_key(args: &FilterArgs) -> Result<Option<PrivacyKey>, Fail> {
    if args.users.is_empty() && args.resources.is_empty() {
        return Ok(None);
    }
    let bytes = match &args.privacy_key {
        Some(file) => std::fs::read(file).map(Some).map_err(|error| {
            Fail::new(
                Status::Failed,
                format!("cannot read {}: {error}", file.display()),
            )
        })?,
        None => std::fs::read(home::paths()?.log_privacy_key()).ok(),
    };
    let bytes = bytes.map(zeroize::Zeroizing::new);
    let key = bytes.map(|bytes| <[u8; 32]>::try_from(bytes.as_slice()));
    match key {
        Some(Ok(key)) => Ok(Some(PrivacyKey::new(&key))),
        Some(Err(_)) => Err(Fail::new(
            Status::Failed,
            "the key of the keyed hashes does not hold 32 bytes",
        )),
        None => Ok(None),
    }
}

/// A person by what they are called, and by the keyed hash of it.
fn user_terms(user: &str, key: Option<&PrivacyKey>) -> Vec<UserTerm> {
    let term = UserTerm::from(user);
    let keyed = key.map(|key| match &term {
        UserTerm::Name(name) => key.person(name),
        UserTerm::Uid(uid) => key.person(&valetkey_sys::account::by_uid(*uid).name),
    });
    std::iter::once(term)
        .chain(keyed.map(UserTerm::Name))
        .collect()
}

/// Patterns as they are, and as they stand in the log where rules hash names.
fn resources(patterns: &[Resource], key: Option<&PrivacyKey>) -> Vec<Resource> {
    let mut all = patterns.to_vec();
    if let Some(key) = key {
        all.extend(patterns.iter().flat_map(|pattern| variants(pattern, key)));
    }
    all
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
