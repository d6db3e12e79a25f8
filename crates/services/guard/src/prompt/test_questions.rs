//! Questions for tests.

use valetkey_approval::{Asked, Context, Prompt};

use super::state::Question;

/// A question about a file of that name; with the given risk and requirement it is the test's to change the rest.
pub(super) fn asked(number: u8, resource: &str, action: &str) -> Asked {
    let text = serde_json::json!({
        "request_id": format!("req-01J0000000000000000000000{number}"),
        "session": "ses-01J00000000000000000000000",
        "agent": "writer",
        "agent_digest": null,
        "user": "alice",
        "purpose": null,
        "grant": {"resource": resource, "actions": [action]},
        "justification": "to sum it up",
        "file": null,
        "reasons": ["a person decides"],
        "policy_id": "base",
        "policy_digest": format!("sha256:{}", "0".repeat(64)),
        "ttl_seconds": 300,
        "requirement": {"quorum": [{"role": "owner", "count": 1}], "expires_seconds": 120},
        "asked_at": "2026-01-17T15:00:00.000Z",
        "expires_at": "2026-01-17T15:02:00.000Z",
    });
    serde_json::from_value(text).expect("a question")
}

/// The same with what is shown of it.
pub(super) fn question(asked: Asked) -> Question {
    let prompt = Prompt::of(&asked, &Context::default());
    Question {
        shown: prompt.digest(),
        notice: format!("the agent asks: {}", asked.request_id),
        asked,
        prompt,
    }
}

/// A question of little risk.
pub(super) fn plain(number: u8) -> Question {
    question(asked(number, "file:/srv/data/q3.csv", "read"))
}
