//! Watching over the session's capabilities: revocations from the broker, and the clock.

use std::sync::Arc;
use std::time::Duration;

use valetkey_api::{ClientError, News, ProblemKind};
use valetkey_view::Permit as _;

use crate::desk::Desk;
use crate::holdings::End;

/// How long one wait for news takes.
const NEWS_WAIT: Duration = Duration::from_secs(30);
/// How often the clock is looked at: an expired capability ends within a tenth of a second.
const TICK: Duration = Duration::from_millis(50);

/// Starts the two threads; they end with the process.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn start(desk: &Arc<Desk>) -> std::io::Result<()> {
    let (news, clock) = (Arc::clone(desk), Arc::clone(desk));
    std::thread::Builder::new()
        .name("news".to_owned())
        .spawn(move || hear_news(&news))?;
    std::thread::Builder::new()
        .name("expiry".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                renew(&clock);
                clock.forget(&clock.holdings.end_expired());
            }
        })?;
    Ok(())
}

/// Asks again for what was given at the start and is about to end. Policy decides anew; what it does not give again ends in its time.
fn renew(desk: &Desk) {
    let now = desk.holdings.now();
    for held in desk.renewable() {
        if !held.is_live() || held.ends_its_lease() {
            // It ends in its time, and there is nothing to ask for again.
            desk.stop_renewing(&held);
            continue;
        }
        if !held.nears_its_end(now) {
            continue;
        }
        let old = held.capability();
        if let Err(problem) = desk.renew(&held, &old) {
            desk.stop_renewing(&held);
            desk.refuse(old.resource.clone(), old.actions, problem);
        }
    }
}

fn hear_news(desk: &Desk) {
    let mut last = 0;
    loop {
        let target = format!(
            "/v1/sessions/{}/news?after={last}&wait={}",
            desk.session,
            NEWS_WAIT.as_secs()
        );
        match desk.link.get::<News>(&target, NEWS_WAIT) {
            Ok(news) => {
                desk.link.set_up();
                last = news.last;
                if news.session_over {
                    cut_off(desk);
                    return;
                }
                if !news.revoked.is_empty() {
                    desk.end_gone(End::Revoked, &news.revoked);
                }
                news.look_again
                    .iter()
                    .for_each(|look| desk.look_again(look));
                if news.keys_changed && !news.given.is_empty() {
                    let _known = desk.learn_keys();
                }
                for granted in &news.given {
                    // A token that does not verify gives nothing; the broker's log has it.
                    drop(desk.hold(granted));
                }
                if news.keys_changed {
                    // If they cannot be had now, the first token that needs them asks again.
                    let _known = desk.learn_keys();
                }
            }
            // The broker lives but knows this session no more: everything it granted is over.
            Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::NotFound => {
                cut_off(desk);
                return;
            }
            // It does not answer. What is open goes on until it expires; nothing new is opened.
            Err(_) => {
                desk.link.set_down();
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

fn cut_off(desk: &Desk) {
    desk.link.set_down();
    let ended = desk.holdings.end(End::Revoked, |_| true);
    desk.forget(&ended);
}
