//! Graphs: back to the beginning, on to the effects.

use valetkey_audit::EventType;

use super::*;
use crate::testing::{capability, event, id, record, request, session, write};

fn story() -> Graph {
    let mut graph = Graph::default();
    let file = "/home/alice/q3.xlsx";
    for (seq, event) in [
        (0, event(EventType::SessionOpened)),
        (
            1,
            event(EventType::RequestDecided)
                .request(request(1))
                .cause(id(0)),
        ),
        (
            2,
            event(EventType::ApprovalAsked)
                .request(request(1))
                .cause(id(1)),
        ),
        (
            3,
            event(EventType::ApprovalGiven)
                .request(request(1))
                .cause(id(2)),
        ),
        (
            4,
            event(EventType::CapabilityMinted)
                .request(request(1))
                .capability(capability(1))
                .cause(id(3)),
        ),
        (5, write(file).capability(capability(1))),
        (6, write(file).capability(capability(1))),
        (7, write("/home/alice/other").capability(capability(1))),
        (
            8,
            event(EventType::CapabilityRevoked).capability(capability(1)),
        ),
        (
            9,
            event(EventType::RequestDecided)
                .request(request(2))
                .session(session(7))
                .cause(id(1000)),
        ),
        (10, event(EventType::SessionClosed)),
    ] {
        graph.push(record(seq, event));
    }
    graph
}

fn drawn(graph: &Graph, seq: u64) -> Vec<(String, u64, usize, Option<Link>)> {
    let lines = graph.draw(&id(seq)).unwrap();
    lines
        .into_iter()
        .map(|line| (line.branches, line.record.seq, line.count, line.link))
        .collect()
}

#[test]
fn a_write_is_followed_back_to_its_session() {
    let graph = story();
    let seqs: Vec<_> = drawn(&graph, 7)
        .into_iter()
        .map(|line| (line.1, line.3))
        .collect();
    let cause = Some(Link::Cause);
    assert_eq!(
        seqs,
        [
            (0, None),
            (1, cause),
            (2, cause),
            (3, cause),
            (4, cause),
            (7, Some(Link::Capability))
        ]
    );
}

#[test]
fn what_came_of_an_approval_is_drawn_and_folded() {
    let graph = story();
    let lines = drawn(&graph, 3);
    let below: Vec<_> = lines
        .iter()
        .skip(4)
        .map(|line| (line.0.as_str(), line.1, line.2))
        .collect();
    assert_eq!(
        below,
        [
            ("         └─ ", 4, 1),
            ("            ├─ ", 5, 2),
            ("            ├─ ", 7, 1),
            ("            └─ ", 8, 1),
        ]
    );
    let asked: Vec<_> = graph
        .draw(&id(3))
        .unwrap()
        .iter()
        .map(|line| line.is_asked)
        .collect();
    assert_eq!(asked.iter().filter(|asked| **asked).count(), 1);
}

#[test]
fn a_cause_that_is_not_there_ends_the_way_back() {
    assert_eq!(drawn(&story(), 9).len(), 1);
    assert!(story().draw(&id(99)).is_none());
}

#[test]
fn a_cause_that_comes_later_or_is_itself_makes_no_circle() {
    let mut graph = Graph::default();
    graph.push(record(1, event(EventType::RequestDecided).cause(id(2))));
    graph.push(record(2, event(EventType::RequestDecided).cause(id(1))));
    graph.push(record(3, event(EventType::RequestDecided).cause(id(3))));
    assert_eq!(
        drawn(&graph, 2)
            .iter()
            .map(|line| line.1)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(drawn(&graph, 3).len(), 1);
}
