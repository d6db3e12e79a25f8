//! Cause and effect: from one event back to where it began, and on to all that came of it.

use std::collections::{BTreeMap, HashMap};

use valetkey_audit::{EventType, Record};
use valetkey_model::EventId;

/// How it is known that one event led to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The event names it as its cause.
    Cause,
    /// Both belong to the same request.
    Request,
    /// It was done under, or to, a capability that the other made.
    Capability,
    /// It happened in the session that the other opened.
    Session,
}

/// One line of a drawn graph.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// The branches before the event.
    pub branches: String,
    /// The event.
    pub record: &'a Record,
    /// How it hangs on the one above; none for the first.
    pub link: Option<Link>,
    /// How many events of the same kind this line stands for.
    pub count: usize,
    /// Whether this is the event that was asked for.
    pub is_asked: bool,
}

/// Events, and which led to which.
#[derive(Debug, Default)]
pub struct Graph {
    /// By their place in the log.
    events: BTreeMap<u64, Record>,
    ids: HashMap<EventId, u64>,
    requests: HashMap<String, u64>,
    capabilities: HashMap<String, u64>,
    sessions: HashMap<String, u64>,
}

impl Graph {
    /// Adds an event. They come in the order of the log, since an effect comes after its cause.
    pub fn push(&mut self, record: Record) {
        let seq = record.seq;
        self.ids.insert(record.event_id.clone(), seq);
        if let Some(request) = &record.request_id {
            self.requests
                .entry(request.as_str().to_owned())
                .or_insert(seq);
        }
        let makes = matches!(
            record.kind,
            EventType::CapabilityMinted | EventType::CapabilityNarrowed
        );
        if let (true, Some(capability)) = (makes, &record.capability_id) {
            self.capabilities
                .entry(capability.as_str().to_owned())
                .or_insert(seq);
        }
        if let (EventType::SessionOpened, Some(session)) = (record.kind, &record.session) {
            self.sessions
                .entry(session.as_str().to_owned())
                .or_insert(seq);
        }
        self.events.insert(seq, record);
    }

    /// The event that led to this one, and how that is known. Only what stands before it in the log can be.
    fn parent(&self, record: &Record) -> Option<(u64, Link)> {
        let named = record.cause.as_ref().and_then(|cause| self.ids.get(cause));
        let request = record
            .request_id
            .as_ref()
            .and_then(|id| self.requests.get(id.as_str()));
        let capability = record
            .capability_id
            .as_ref()
            .and_then(|id| self.capabilities.get(id.as_str()));
        let session = record
            .session
            .as_ref()
            .and_then(|id| self.sessions.get(id.as_str()));
        [
            (named, Link::Cause),
            (capability, Link::Capability),
            (request, Link::Request),
            (session, Link::Session),
        ]
        .into_iter()
        .filter_map(|(seq, link)| Some((*seq?, link)))
        .find(|(seq, _)| *seq < record.seq)
    }

    /// The graph around an event, drawn: what led to it, itself, and what came of it; none when the event is not here.
    #[must_use]
    pub fn draw(&self, asked: &EventId) -> Option<Vec<Line<'_>>> {
        let asked = *self.ids.get(asked)?;
        let mut effects: BTreeMap<u64, Vec<(u64, Link)>> = BTreeMap::new();
        for (seq, record) in &self.events {
            if let Some((parent, link)) = self.parent(record) {
                effects.entry(parent).or_default().push((*seq, link));
            }
        }
        let mut path = vec![(asked, None)];
        let mut at = self.events.get(&asked)?;
        while let Some((parent, link)) = self.parent(at) {
            if let Some((_, how)) = path.last_mut() {
                *how = Some(link);
            }
            path.push((parent, None));
            at = self.events.get(&parent)?;
        }
        let mut lines = Vec::new();
        for (depth, (seq, link)) in path.into_iter().rev().enumerate() {
            let branches = if depth == 0 {
                String::new()
            } else {
                format!("{}└─ ", "   ".repeat(depth.saturating_sub(1)))
            };
            lines.push(Line {
                branches,
                record: self.events.get(&seq)?,
                link,
                count: 1,
                is_asked: seq == asked,
            });
        }
        let indent = "   ".repeat(lines.len().saturating_sub(1));
        self.below(asked, &indent, &effects, &mut lines);
        Some(lines)
    }

    /// What came of an event. An explicit stack: a hostile log could nest deeper than the program's own goes.
    fn below<'a>(
        &'a self,
        root: u64,
        indent: &str,
        effects: &BTreeMap<u64, Vec<(u64, Link)>>,
        lines: &mut Vec<Line<'a>>,
    ) {
        let mut stack: Vec<(Entry, String, bool)> = Vec::new();
        let put = |stack: &mut Vec<(Entry, String, bool)>, parent: u64, indent: &str| {
            let entries = self.folded(effects.get(&parent).map_or(&[], Vec::as_slice), effects);
            let last = entries.len().saturating_sub(1);
            let entries = entries.into_iter().enumerate().rev();
            stack.extend(entries.map(|(at, entry)| (entry, indent.to_owned(), at == last)));
        };
        put(&mut stack, root, indent);
        while let Some((entry, indent, is_last)) = stack.pop() {
            let Some(record) = self.events.get(&entry.seq) else {
                continue;
            };
            let branch = if is_last { "└─ " } else { "├─ " };
            lines.push(Line {
                branches: format!("{indent}{branch}"),
                record,
                link: Some(entry.link),
                count: entry.count,
                is_asked: false,
            });
            let more = if is_last { "   " } else { "│  " };
            put(&mut stack, entry.seq, &format!("{indent}{more}"));
        }
    }

    /// Effects of one event; those alike, with no effects of their own, are one entry.
    fn folded(
        &self,
        children: &[(u64, Link)],
        effects: &BTreeMap<u64, Vec<(u64, Link)>>,
    ) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut alike: HashMap<Alike<'_>, usize> = HashMap::new();
        for (seq, link) in children {
            let Some(record) = self.events.get(seq) else {
                continue;
            };
            let entry = Entry {
                seq: *seq,
                link: *link,
                count: 1,
            };
            if effects.contains_key(seq) {
                entries.push(entry);
                continue;
            }
            let place = *alike.entry(Alike::of(record)).or_insert(entries.len());
            match entries.get_mut(place) {
                Some(first) => first.count = first.count.saturating_add(1),
                None => entries.push(entry),
            }
        }
        entries
    }
}

struct Entry {
    seq: u64,
    link: Link,
    count: usize,
}

/// What makes two events look the same on a line.
#[derive(PartialEq, Eq, Hash)]
struct Alike<'a> {
    kind: EventType,
    resource: Option<&'a valetkey_model::Resource>,
    action: Option<String>,
    decision: Option<valetkey_audit::AuditDecision>,
}

impl<'a> Alike<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            kind: record.kind,
            resource: record.resource.as_ref(),
            action: record.action.map(|actions| actions.to_string()),
            decision: record.decision,
        }
    }
}

#[cfg(test)]
mod tests;
