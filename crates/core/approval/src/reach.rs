//! How far a person lets a yes reach: as far as the question says, or less, never further.

use valetkey_model::{Lease, LeaseScope};

use crate::asked::Asked;

/// What a yes to a question can be made to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether there is anything that reaches less.
    pub is_choice: bool,
    /// The longest time that can be chosen, in seconds; none where one use is all there is.
    pub max_seconds: Option<u64>,
    /// Whether the rest of the task can be chosen.
    pub task: bool,
}

impl Reach {
    /// What there is to choose of.
    #[must_use]
    pub fn of(asked: &Asked) -> Self {
        let lease = asked.requirement.lease.as_ref();
        let max_seconds = match lease.map(|lease| &lease.scope) {
            None => Some(asked.ttl_seconds),
            Some(LeaseScope::Minutes | LeaseScope::Task) => lease.map(|lease| lease.max_seconds),
            Some(LeaseScope::Once | LeaseScope::Operations(_)) => None,
        };
        // A request that is for one use only has no less.
        let max_seconds = max_seconds.filter(|_| !asked.grant.constraints.is_single_use());
        let listed = matches!(
            lease,
            Some(Lease {
                scope: LeaseScope::Operations(_),
                ..
            })
        );
        Self {
            is_choice: max_seconds.is_some() || listed,
            max_seconds,
            task: max_seconds.is_some()
                && matches!(
                    lease,
                    Some(Lease {
                        scope: LeaseScope::Task,
                        ..
                    })
                ),
        }
    }

    /// What a person means by `once`, `task`, or a time such as `10m`, `90 s`, `1h` or `5` (minutes).
    ///
    /// # Errors
    /// What can be chosen, if that is not among it.
    pub fn choose(self, text: &str) -> Result<Lease, String> {
        let max_seconds = self.max_seconds.unwrap_or(0);
        let chosen = match text.trim() {
            "once" => Some(Lease {
                scope: LeaseScope::Once,
                max_seconds: max_seconds.max(1),
            }),
            "task" if self.task => Some(Lease {
                scope: LeaseScope::Task,
                max_seconds,
            }),
            time => seconds(time)
                .filter(|seconds| (1..=max_seconds).contains(seconds))
                .map(|seconds| Lease {
                    scope: LeaseScope::Minutes,
                    max_seconds: seconds,
                }),
        };
        chosen.ok_or_else(|| self.in_words())
    }

    /// What can be chosen, in words.
    #[must_use]
    pub fn in_words(self) -> String {
        let longest = self
            .max_seconds
            .map(|most| format!("at most {}", time(most)));
        let words = [
            Some("once".to_owned()),
            longest,
            self.task.then(|| "task".to_owned()),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        format!("a yes can reach: {}", words.join(", "))
    }

    /// Each of what is usual to choose, the narrowest first: what a key goes through.
    #[must_use]
    pub fn usual(self) -> Vec<Lease> {
        if !self.is_choice {
            return Vec::new();
        }
        let times = [300, 900, 3600].into_iter();
        let most = self.max_seconds.unwrap_or(0);
        let once = Lease {
            scope: LeaseScope::Once,
            max_seconds: most.max(1),
        };
        let times = times.filter(|time| *time < most).map(|max_seconds| Lease {
            scope: LeaseScope::Minutes,
            max_seconds,
        });
        std::iter::once(once).chain(times).collect()
    }
}

/// What was chosen, as it is typed.
#[must_use]
pub fn chosen_in_words(lease: &Lease) -> String {
    match lease.scope {
        LeaseScope::Minutes => time(lease.max_seconds),
        LeaseScope::Once | LeaseScope::Operations(_) | LeaseScope::Task => {
            lease.scope.name().to_owned()
        }
    }
}

fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        _ => format!("{}m", seconds / 60),
    }
}

fn seconds(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    let each = match unit.trim() {
        "s" | "sec" | "seconds" => 1,
        "" | "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        _ => return None,
    };
    number.checked_mul(each)
}

/// Whether a chosen reach lies within what the question says.
pub(crate) fn is_within(chosen: &Lease, asked: &Asked) -> bool {
    let reach = Reach::of(asked);
    let max_seconds = reach.max_seconds.unwrap_or(0);
    match &chosen.scope {
        LeaseScope::Once => chosen.max_seconds > 0,
        LeaseScope::Minutes => (1..=max_seconds).contains(&chosen.max_seconds),
        LeaseScope::Task => reach.task && (1..=max_seconds).contains(&chosen.max_seconds),
        // Nobody can choose among listed operations: that list is the question's.
        LeaseScope::Operations(_) => false,
    }
}

/// The reach that two people give.
pub(crate) fn lesser(a: Lease, b: Lease) -> Lease {
    Lease {
        max_seconds: a.max_seconds.min(b.max_seconds),
        scope: a.scope.narrower(b.scope),
    }
}

impl Asked {
    /// The question with as much less as people chose: what is given is this.
    #[must_use]
    pub fn reaching(&self, chosen: Option<&Lease>) -> Self {
        let mut given = self.clone();
        let Some(chosen) = chosen else { return given };
        match (&chosen.scope, &mut given.requirement.lease) {
            (LeaseScope::Once, lease) => {
                given.grant.constraints.single_use = Some(true);
                *lease = Some(Lease {
                    scope: LeaseScope::Once,
                    max_seconds: given.ttl_seconds,
                });
            }
            (_, Some(lease)) => {
                *lease = lesser(lease.clone(), chosen.clone());
                given.ttl_seconds = given.ttl_seconds.min(chosen.max_seconds);
            }
            (_, None) => given.ttl_seconds = given.ttl_seconds.min(chosen.max_seconds),
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::question as base;

    fn question(lease: Option<(LeaseScope, u64)>) -> Asked {
        let mut asked = base("file:/srv/q3.csv", "read");
        asked.ttl_seconds = 300;
        asked.requirement.lease = lease.map(|(scope, max_seconds)| Lease { scope, max_seconds });
        asked
    }

    fn lease(scope: LeaseScope, max_seconds: u64) -> Lease {
        Lease { scope, max_seconds }
    }

    #[test]
    fn nothing_can_be_chosen_that_reaches_further() {
        let operations =
            || LeaseScope::Operations(vec![base("file:/srv/q3.csv", "read").grant.resource]);
        let all = [
            lease(LeaseScope::Once, 1),
            lease(LeaseScope::Minutes, 300),
            lease(LeaseScope::Minutes, 301),
            lease(LeaseScope::Minutes, 600),
            lease(LeaseScope::Minutes, 601),
            lease(LeaseScope::Task, 600),
            lease(LeaseScope::Task, 601),
            lease(operations(), 60),
            lease(LeaseScope::Minutes, 0),
        ];
        for (question, allowed) in [
            (question(Some((LeaseScope::Once, 600))), vec![0]),
            (question(Some((operations(), 600))), vec![0]),
            (question(None), vec![0, 1]),
            (question(Some((LeaseScope::Minutes, 600))), vec![0, 1, 2, 3]),
            (question(Some((LeaseScope::Task, 600))), vec![0, 1, 2, 3, 5]),
        ] {
            for (at, chosen) in all.iter().enumerate() {
                assert_eq!(
                    is_within(chosen, &question),
                    allowed.contains(&at),
                    "{chosen:?} of {:?}",
                    question.requirement.lease
                );
            }
            for usual in Reach::of(&question).usual() {
                assert!(is_within(&usual, &question), "{usual:?}");
            }
        }
    }

    #[test]
    fn what_is_given_is_what_was_chosen() {
        let task = question(Some((LeaseScope::Task, 600)));
        assert_eq!(task.reaching(None), task);
        let once = task.reaching(Some(&lease(LeaseScope::Once, 600)));
        assert!(once.grant.constraints.is_single_use());
        assert_eq!(once.requirement.lease, Some(lease(LeaseScope::Once, 300)));
        let minutes = task.reaching(Some(&lease(LeaseScope::Minutes, 120)));
        assert_eq!(
            minutes.requirement.lease,
            Some(lease(LeaseScope::Minutes, 120))
        );
        assert_eq!(minutes.ttl_seconds, 120);
        assert!(!minutes.grant.constraints.is_single_use());
        // Where a yes is for this request alone, it stays so: nothing is given again.
        let alone = question(None).reaching(Some(&lease(LeaseScope::Minutes, 60)));
        assert_eq!((alone.requirement.lease, alone.ttl_seconds), (None, 60));
    }

    #[test]
    fn words_mean_what_they_say_or_nothing() {
        let reach = Reach::of(&question(Some((LeaseScope::Task, 3600))));
        for (text, seconds) in [
            ("5", 300),
            ("5m", 300),
            ("90 s", 90),
            ("1h", 3600),
            (" 2 min ", 120),
        ] {
            assert_eq!(
                reach.choose(text),
                Ok(lease(LeaseScope::Minutes, seconds)),
                "{text}"
            );
        }
        assert_eq!(
            reach.choose("once").map(|lease| lease.scope),
            Ok(LeaseScope::Once)
        );
        assert_eq!(reach.choose("task"), Ok(lease(LeaseScope::Task, 3600)));
        for text in [
            "",
            "0",
            "61m",
            "2h",
            "-5",
            "5x",
            "always",
            "Task",
            "99999999999999999999",
            "9223372036854775808h",
        ] {
            let said = reach.choose(text).expect_err(text);
            assert_eq!(said, "a yes can reach: once, at most 60m, task");
        }
        let once = Reach::of(&question(Some((LeaseScope::Once, 600))));
        assert!(!once.is_choice && once.choose("5m").is_err() && once.choose("task").is_err());
    }
}
