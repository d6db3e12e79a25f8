//! Tokens cross to and from `jsonwebtoken`, which shares no code with the verifier here: another JSON shape, another Ed25519.

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use base64ct::{Base64UrlUnpadded, Encoding as _};
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
    use serde_json::Value;
    use valetkey_capability::{
        AUDIENCE_GUARD, AuthorizationDetail, Claims, Confirmation, IssuerKey, Jwks, TokenError,
        Verifier,
    };
    use valetkey_model::{
        AgentId, CapabilityId, Constraints, Digest, Grant, SessionId, Timestamp, canonical_json,
    };

    const SEED: [u8; 32] = [9; 32];
    /// What stands before the seed in an RFC 8410 private key without its public part.
    const PKCS8_PREFIX: [u8; 16] = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];

    /// The other library reads the system's clock, so these tests do too.
    fn now() -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_unix_seconds(since.as_secs())
    }

    fn session() -> SessionId {
        SessionId::new(Timestamp::from_unix_ms(1), [1; 10])
    }

    fn claims(issued: Timestamp) -> Claims {
        Claims {
            iss: "local-broker".to_owned(),
            sub: AgentId::sanitised("agent"),
            aud: AUDIENCE_GUARD.to_owned(),
            jti: CapabilityId::new(issued, [2; 10]),
            iat: issued.unix_seconds(),
            nbf: issued.unix_seconds(),
            exp: issued.unix_seconds() + 300,
            cnf: Confirmation {
                valetkey_session: session(),
            },
            authorization_details: [AuthorizationDetail::of(Grant {
                resource: "file:/home/alice/Grüße%20✓/**".parse().unwrap(),
                actions: "read,append".parse().unwrap(),
                constraints: Constraints {
                    max_bytes: Some(1_048_576),
                    ..Constraints::default()
                },
                except: vec!["file:/**/.env".parse().unwrap()],
            })],
            parent: None,
            approvals: vec![],
            policy_id: "p".to_owned(),
            policy_digest: Digest::of(b"policy"),
        }
    }

    fn key() -> IssuerKey {
        IssuerKey::from_seed(&SEED)
    }

    /// Their decoding key, from the JWKS as text, chosen by the key id in the token's header.
    fn their_key(token: &str) -> DecodingKey {
        let jwks = Jwks {
            keys: vec![
                IssuerKey::from_seed(&[8; 32]).public().to_jwk(),
                key().public().to_jwk(),
            ],
        };
        let set: JwkSet = serde_json::from_str(&serde_json::to_string(&jwks).unwrap()).unwrap();
        let header = jsonwebtoken::decode_header(token).unwrap();
        assert_eq!(header.alg, Algorithm::EdDSA);
        assert_eq!(header.typ.as_deref(), Some("valetkey-cap+jwt"));
        DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap()
    }

    fn their_rules() -> Validation {
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[AUDIENCE_GUARD]);
        rules.set_issuer(&["local-broker"]);
        rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        rules.validate_nbf = true;
        rules.leeway = 0;
        rules
    }

    fn their_encoding_key() -> EncodingKey {
        EncodingKey::from_ed_der(&[PKCS8_PREFIX.as_slice(), &SEED].concat())
    }

    #[test]
    fn our_tokens_verify_there_and_say_the_same() {
        let claims = claims(now());
        let token = key().sign_claims(&claims).unwrap();
        let read = jsonwebtoken::decode::<Value>(&token, &their_key(&token), &their_rules());
        assert_eq!(read.unwrap().claims, serde_json::to_value(&claims).unwrap());
    }

    #[test]
    fn our_tokens_are_refused_there_when_they_must_be() {
        let token = key().sign_claims(&claims(now())).unwrap();
        let their_key = their_key(&token);
        let refused = |token: &str, rules: &Validation| {
            jsonwebtoken::decode::<Value>(token, &their_key, rules).is_err()
        };
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert!(refused(
            &format!("{signed}.{}", "A".repeat(86)),
            &their_rules()
        ));
        let old = Timestamp::from_unix_seconds(now().unix_seconds() - 301);
        assert!(refused(
            &key().sign_claims(&claims(old)).unwrap(),
            &their_rules()
        ));
        let mut for_another = their_rules();
        for_another.set_audience(&["valetkey-sheet"]);
        assert!(refused(&token, &for_another));
    }

    #[test]
    fn tokens_signed_there_in_our_form_verify_here() {
        let claims = claims(now());
        let ours = key().sign_claims(&claims).unwrap();
        let header = format!(
            r#"{{"alg":"EdDSA","kid":"{}","typ":"valetkey-cap+jwt"}}"#,
            key().public().kid()
        );
        let part = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let signed = format!(
            "{}.{}",
            part(header.as_bytes()),
            part(&canonical_json(&claims).unwrap())
        );
        let signature =
            jsonwebtoken::crypto::sign(signed.as_bytes(), &their_encoding_key(), Algorithm::EdDSA);
        let theirs = format!("{signed}.{}", signature.unwrap());

        let verifier = Verifier::new([key().public().clone()], session());
        assert_eq!(verifier.verify(&theirs, now()).unwrap().claims(), &claims);
        // Ed25519 is deterministic (RFC 8032): two right implementations write the same token.
        assert_eq!(theirs, ours);
    }

    #[test]
    fn tokens_written_there_in_their_form_are_refused_here() {
        let header = Header {
            typ: Some("valetkey-cap+jwt".to_owned()),
            kid: Some(key().public().kid().to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        let theirs = jsonwebtoken::encode(&header, &claims(now()), &their_encoding_key()).unwrap();
        // A valid JWS by the right key, but the header's members are in another order than the one that is accepted.
        assert!(
            jsonwebtoken::decode::<Value>(&theirs, &their_key(&theirs), &their_rules()).is_ok()
        );
        let verifier = Verifier::new([key().public().clone()], session());
        assert_eq!(verifier.verify(&theirs, now()), Err(TokenError::Header));
    }
}
