//! What a capability costs: signing and strict verification, beside `jsonwebtoken`, `biscuit-auth` and the bare Ed25519 of each.
//!
//! `cargo run --release -p valetkey-benches --bin mint`

use std::hint::black_box;
use std::time::Instant;

use ed25519_dalek::{Signer as _, SigningKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use valetkey_benches::biscuit::Peer as Biscuit;
use valetkey_benches::measure::{Times, rate, ratio, show};
use valetkey_benches::table::Table;
use valetkey_benches::{Failure, machine};
use valetkey_capability::{
    AUDIENCE_GUARD, AuthorizationDetail, Claims, Confirmation, IssuerKey, Verifier,
};
use valetkey_model::{
    AgentId, CapabilityId, Constraints, Digest, Grant, Resource, SessionId, Timestamp,
};

/// How often each is done, in groups that take turns.
const ROUNDS: usize = 20;
const GROUP: usize = 500;
/// A key for measuring, and nothing else.
const SEED: [u8; 32] = [7; 32];
/// What comes before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Something that is done again and again.
type Work<'a> = (&'static str, Box<dyn Fn() -> bool + 'a>);

fn main() -> Result<(), Failure> {
    let now = Timestamp::from_unix_ms(1_768_662_720_000);
    let session = SessionId::new(now, [2; 10]);
    let claims = claims(now, &session)?;
    let key = IssuerKey::from_seed(&SEED);
    let verifier = Verifier::new([key.public().clone()], session);
    let token = key.sign_claims(&claims)?;

    let theirs = Theirs::new()?;
    let their_token = theirs.encode(&claims)?;
    let biscuit = Biscuit::new(&SEED, &claims, now)?;
    let biscuit_token = biscuit.mint()?;

    let bare = SigningKey::from_bytes(&SEED);
    let bare_public = bare.verifying_key();
    let signature = bare.sign(token.as_bytes());

    let mint: [Work<'_>; 4] = [
        (
            "mint, valetkey",
            Box::new(|| key.sign_claims(&claims).is_ok()),
        ),
        (
            "mint, jsonwebtoken",
            Box::new(|| theirs.encode(&claims).is_ok()),
        ),
        ("mint, biscuit-auth", Box::new(|| biscuit.mint().is_ok())),
        (
            "Ed25519 sign alone",
            Box::new(|| bare.sign(black_box(token.as_bytes())) == signature),
        ),
    ];
    let verify: [Work<'_>; 4] = [
        (
            "verify, valetkey",
            Box::new(|| verifier.verify(&token, now).is_ok()),
        ),
        (
            "verify, jsonwebtoken",
            Box::new(|| theirs.decode(&their_token)),
        ),
        (
            "verify and authorize, biscuit-auth",
            Box::new(|| biscuit.verify(&biscuit_token)),
        ),
        (
            "Ed25519 strict verification alone",
            Box::new(|| {
                bare_public
                    .verify_strict(token.as_bytes(), &signature)
                    .is_ok()
            }),
        ),
    ];
    println!("## mint\n\n{}\n", machine::line());
    println!(
        "one thread, a token of {} bytes ({} with jsonwebtoken, {} with biscuit-auth)\n",
        token.len(),
        their_token.len(),
        biscuit_token.len()
    );
    let mut table = Table::new(&["", "p50", "p99", "a second", "× valetkey"]);
    for works in [mint, verify] {
        measure(&works, &mut table)?;
    }
    println!("{table}");
    Ok(())
}

fn measure(works: &[Work<'_>], table: &mut Table) -> Result<(), Failure> {
    let mut times = vec![Times::default(); works.len()];
    for _ in 0..ROUNDS {
        for ((name, work), times) in works.iter().zip(&mut times) {
            for _ in 0..GROUP {
                let start = Instant::now();
                let worked = black_box(work());
                times.add(start.elapsed());
                if !worked {
                    return Err(format!("{name} failed").into());
                }
            }
        }
    }
    let own = times.first().map(Times::median).unwrap_or_default();
    for ((name, _), times) in works.iter().zip(&times) {
        table.row([
            (*name).to_owned(),
            show(times.median()),
            show(times.at(990)),
            rate(1, times.median()),
            ratio(times.median(), own),
        ]);
    }
    Ok(())
}

fn claims(now: Timestamp, session: &SessionId) -> Result<Claims, Failure> {
    let resource: Resource = "file:/home/alice/Documents/QuarterlyReport.xlsx".parse()?;
    let grant = Grant {
        resource,
        actions: "read,append".parse()?,
        constraints: Constraints {
            max_bytes: Some(1 << 20),
            allow_macros: Some(false),
            ..Constraints::default()
        },
        except: Vec::new(),
    };
    let issued = now.unix_seconds();
    Ok(Claims {
        iss: "local-broker".to_owned(),
        sub: AgentId::sanitised("agent-ui-123"),
        aud: AUDIENCE_GUARD.to_owned(),
        jti: CapabilityId::new(now, [3; 10]),
        iat: issued,
        nbf: issued,
        exp: issued + 300,
        cnf: Confirmation {
            valetkey_session: session.clone(),
        },
        authorization_details: [AuthorizationDetail::of(grant)],
        parent: None,
        approvals: Vec::new(),
        policy_id: "policy-finance-2026-q1".to_owned(),
        policy_digest: Digest::of(b"policy"),
    })
}

/// The same claims through `jsonwebtoken`: signature, audience and expiry checked, as its documentation has it.
struct Theirs {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl Theirs {
    fn new() -> Result<Self, Failure> {
        let public = SigningKey::from_bytes(&SEED).verifying_key();
        let pkcs8 = [PKCS8_PREFIX.as_slice(), &SEED].concat();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE_GUARD]);
        // The claims are of a fixed time; ours are verified at that time too.
        validation.validate_exp = false;
        Ok(Self {
            signing: EncodingKey::from_ed_der(&pkcs8),
            verifying: DecodingKey::from_ed_der(public.as_bytes()),
            validation,
        })
    }

    fn encode(&self, claims: &Claims) -> Result<String, Failure> {
        let header = Header::new(Algorithm::EdDSA);
        Ok(jsonwebtoken::encode(&header, claims, &self.signing)?)
    }

    fn decode(&self, token: &str) -> bool {
        jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation).is_ok()
    }
}
