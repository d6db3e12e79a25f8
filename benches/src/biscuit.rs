//! `biscuit-auth` as a peer: a token with the same facts as a capability, and an authorizer that asks of it what a guard asks.

use std::time::{Duration, UNIX_EPOCH};

use biscuit_auth::builder::{
    Algorithm, AuthorizerBuilder, Check, Fact, Policy, boolean, date, fact, int, string,
};
use biscuit_auth::{AuthorizerLimits, Biscuit, KeyPair, PrivateKey, PublicKey};
use valetkey_capability::Claims;
use valetkey_model::Timestamp;

use crate::Failure;

/// The library's own bound is a millisecond, which a busy machine takes by itself.
const MAX_TIME: Duration = Duration::from_secs(10);

/// A key, what is said in each token, and what is asked of each. All of it is made once, as ours is.
#[derive(Debug)]
pub struct Peer {
    root: KeyPair,
    public: PublicKey,
    said: Vec<Fact>,
    lives: Check,
    asked: Vec<Fact>,
    bound: Check,
    allows: Policy,
}

impl Peer {
    /// A peer that says what `claims` say, and asks for the first of their actions at `now`.
    ///
    /// # Errors
    /// When the key or a text is refused.
    pub fn new(seed: &[u8; 32], claims: &Claims, now: Timestamp) -> Result<Self, Failure> {
        let root = KeyPair::from(&PrivateKey::from_bytes(seed, Algorithm::Ed25519)?);
        let grant = claims.grant();
        let resource = grant.resource.to_string();
        let session = claims.cnf.valetkey_session.as_str();
        let text = |name: &str, value: &str| fact(name, &[string(value)]);
        let mut said = vec![
            text("issuer", &claims.iss),
            text("agent", claims.sub.as_str()),
            text("audience", &claims.aud),
            text("id", claims.jti.as_str()),
            text("session", session),
            text("policy", &claims.policy_id),
            text("policy_digest", &claims.policy_digest.to_string()),
        ];
        for action in grant.actions.iter() {
            said.push(fact("right", &[string(&resource), string(action.name())]));
        }
        if let Some(most) = grant.constraints.max_bytes {
            said.push(fact(
                "limit",
                &[string("max_bytes"), int(i64::try_from(most)?)],
            ));
        }
        if let Some(allowed) = grant.constraints.allow_macros {
            said.push(fact("limit", &[string("allow_macros"), boolean(allowed)]));
        }
        let action = grant.actions.iter().next().ok_or("no action is given")?;
        let time = UNIX_EPOCH + Duration::from_millis(now.unix_ms());
        let lives = format!(
            "check if time($now), $now >= {}, $now < {}",
            Timestamp::from_unix_seconds(claims.nbf),
            Timestamp::from_unix_seconds(claims.exp),
        );
        Ok(Self {
            public: root.public(),
            root,
            said,
            lives: lives.as_str().try_into()?,
            asked: vec![
                fact("time", &[date(&time)]),
                text("resource", &resource),
                text("operation", action.name()),
                text("presented_in", session),
                text("presented_to", &claims.aud),
            ],
            bound: "check if session($s), presented_in($s), audience($a), presented_to($a)"
                .try_into()?,
            allows: "allow if right($r, $a), resource($r), operation($a)".try_into()?,
        })
    }

    /// Signs a token.
    ///
    /// # Errors
    /// When the library refuses to.
    pub fn mint(&self) -> Result<String, Failure> {
        let mut builder = Biscuit::builder().check(self.lives.clone())?;
        for fact in &self.said {
            builder = builder.fact(fact.clone())?;
        }
        Ok(builder.build(&self.root)?.to_base64()?)
    }

    /// Whether a token is signed by the key and allows what is asked.
    #[must_use]
    pub fn verify(&self, token: &str) -> bool {
        self.authorize(token).is_ok()
    }

    fn authorize(&self, token: &str) -> Result<(), Failure> {
        let token = Biscuit::from_base64(token, self.public)?;
        let limits = AuthorizerLimits {
            max_time: MAX_TIME,
            ..AuthorizerLimits::default()
        };
        let mut authorizer = AuthorizerBuilder::new()
            .check(self.bound.clone())?
            .policy(self.allows.clone())?
            .set_limits(limits);
        for fact in &self.asked {
            authorizer = authorizer.fact(fact.clone())?;
        }
        authorizer.build(&token)?.authorize()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use valetkey_capability::{AUDIENCE_GUARD, AuthorizationDetail, Confirmation};
    use valetkey_model::{AgentId, CapabilityId, Constraints, Digest, Grant, SessionId};

    use super::*;

    fn claims(session: u8, action: &str) -> Claims {
        let now = Timestamp::from_unix_ms(1_768_662_720_000);
        Claims {
            iss: "local-broker".to_owned(),
            sub: AgentId::sanitised("agent"),
            aud: AUDIENCE_GUARD.to_owned(),
            jti: CapabilityId::new(now, [3; 10]),
            iat: now.unix_seconds(),
            nbf: now.unix_seconds(),
            exp: now.unix_seconds() + 300,
            cnf: Confirmation {
                valetkey_session: SessionId::new(now, [session; 10]),
            },
            authorization_details: [AuthorizationDetail::of(Grant {
                resource: "file:/w/a".parse().unwrap(),
                actions: action.parse().unwrap(),
                constraints: Constraints::default(),
                except: Vec::new(),
            })],
            parent: None,
            approvals: Vec::new(),
            policy_id: "p".to_owned(),
            policy_digest: Digest::of(b"policy"),
        }
    }

    /// What is measured refuses what ours refuses: otherwise the figures would be of something else.
    #[test]
    fn a_peers_token_is_good_for_what_it_says_and_nothing_else() {
        let now = Timestamp::from_unix_ms(1_768_662_720_000);
        let own = Peer::new(&[7; 32], &claims(1, "read"), now).unwrap();
        let token = own.mint().unwrap();
        assert!(own.verify(&token));
        for (why, other) in [
            ("another key", Peer::new(&[8; 32], &claims(1, "read"), now)),
            (
                "another session",
                Peer::new(&[7; 32], &claims(2, "read"), now),
            ),
            (
                "another action",
                Peer::new(&[7; 32], &claims(1, "write"), now),
            ),
            (
                "too late",
                Peer::new(&[7; 32], &claims(1, "read"), now.plus_seconds(300)),
            ),
        ] {
            assert!(!other.unwrap().verify(&token), "{why}");
        }
    }
}
