//! The expressions by which finds are made, built once.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// All expressions.
#[derive(Debug)]
pub(crate) struct Detectors {
    /// Tokens that show by their form; all of a match is masked.
    pub(crate) tokens: Regex,
    /// Tokens whose value is the group `v`.
    pub(crate) carried: Vec<Regex>,
    /// The beginning of a private key, up to its content.
    pub(crate) private_key: Regex,
    /// A name with what stands between it and its value.
    pub(crate) key: Regex,
    /// A name and its value that are themselves values: `name: DB_PASSWORD, value: …`.
    pub(crate) pair: Regex,
    /// A long run of letters and digits.
    pub(crate) run: Regex,
    /// E-mail addresses.
    pub(crate) email: Regex,
    /// What may be the number of a telephone.
    pub(crate) phone: Regex,
    /// What may be an IBAN.
    pub(crate) iban: Regex,
    /// What may be the number of a card, or of social security.
    pub(crate) number: Regex,
}

/// The detectors; `None` if they could not be built, and then everything is a find.
pub(crate) fn get() -> Option<&'static Detectors> {
    static DETECTORS: LazyLock<Option<Detectors>> = LazyLock::new(|| build().ok());
    DETECTORS.as_ref()
}

/// Formats of tokens, as their makers publish them. Lengths are the least that is known, or a little less: of a token that is
/// just being written a part is as bad as the whole.
const TOKENS: &[&str] = &[
    r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z2-7]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{16,}",
    r"\bgithub_pat_[A-Za-z0-9_]{16,}",
    r"\bgl(?:pat|ptt|rt|dt|cbt|soat|ft|imt|agent)-[A-Za-z0-9_.-]{16,}",
    r"\bxox[a-z](?:\.[a-z]+)?-[A-Za-z0-9-]{8,}",
    r"\bxapp-[0-9]-[A-Za-z0-9-]{8,}",
    r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{8,}",
    r"discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{8,}",
    r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}",
    r"\bwhsec_[A-Za-z0-9+/=]{16,}",
    r"\bAIza[A-Za-z0-9_-]{20,}",
    r"\bya29\.[A-Za-z0-9_-]{16,}",
    r"\bGOCSPX-[A-Za-z0-9_-]{16,}",
    r"\bnpm_[A-Za-z0-9]{20,}",
    r"\bpypi-[A-Za-z0-9_-]{32,}",
    r"\bcio[a-zA-Z0-9]{32}\b",
    r"\bsk-(?:[a-z]+[0-9]*-)*[A-Za-z0-9_-]{20,}",
    r"\bhf_[A-Za-z0-9]{24,}",
    r"\bdo[oprt]_v1_[a-f0-9]{32,}",
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"\bSK[0-9a-f]{32}\b",
    r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}",
    r"\b(?:hvs|hvb|hvr|s)\.[A-Za-z0-9_-]{24,}",
    r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{24,}",
    r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}",
    r"\bgl(?:sa|c)_[A-Za-z0-9_=+/-]{20,}",
    r"\b(?:sq0atp|sq0csp|EAAA)[A-Za-z0-9_-]{20,}",
    r"\bATATT3[A-Za-z0-9_=-]{20,}",
    r"\bATBB[A-Za-z0-9]{20,}",
    r"\blin_api_[A-Za-z0-9]{20,}",
    r"\bkey-[0-9a-f]{32}\b",
    r"\brubygems_[0-9a-f]{32,}",
    r"\bAGE-SECRET-KEY-1[0-9A-Z]{20,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}",
    r"\$(?:apr1|2[abxy]|5|6|1|y|argon2(?:id?|d)|scrypt|pbkdf2[a-z0-9-]*)\$[A-Za-z0-9./$+=,_-]{8,}",
];

/// Values that show by what stands before or around them.
const CARRIED: &[&str] = &[
    // The password in a URL.
    r#"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/:@"'<>`]*:(?P<v>[^\s/"'<>`]+)@"#,
    r#"(?i)\b(?:bearer|basic|digest|negotiate)[ \t]+(?P<v>[A-Za-z0-9+/=._~-]{12,})"#,
    r#"(?i)\bauthorization["']?\s*[:=]\s*["']?(?:token|bot|apikey|bearer|basic)\s+(?P<v>[^\s"',;\\]{4,})"#,
    // An element of XML that is named for a secret.
    r"(?i)<(?:[a-z0-9_.-]*:)?[a-z0-9_.-]*(?:password|passwd|passphrase|secret|token|api[_.-]?key|private[_.-]?key|access[_.-]?key)(?:\s[^<>]*)?>(?P<v>[^<]+)</",
    // netrc, and options of commands.
    r"(?i)\blogin[ \t\r\n]+\S+[ \t\r\n]+(?:account[ \t\r\n]+\S+[ \t\r\n]+)?password[ \t\r\n]+(?P<v>\S+)",
    r#"(?i)(?:^|[\s"'\[,(])--?(?:[a-z0-9]+-)*(?:password|passwd|passphrase|secret|token|api-?key|access-?key)["']?[ \t,]+["']?(?P<v>[^\s"'\\-][^\s"'\\]*)"#,
    r#"(?i)\bcurl\b[^\n]*?\s(?:-u|--user)[ =]?["']?[^\s:"']+:(?P<v>[^\s"']+)"#,
    // A line of .pgpass, and of a PuTTY key.
    r"(?m)^[^:\s/#]+:(?:[0-9]{1,5}|\*):[^:\s]+:[^:\s]+:(?P<v>[^\r\n]+)",
    r"Private-Lines: [0-9]+\r?\n(?P<v>(?:[A-Za-z0-9+/=]+\r?\n?)+)",
];

fn build() -> Result<Detectors, regex::Error> {
    let all = |parts: &[&str]| format!("(?-u){}", parts.join("|"));
    Ok(Detectors {
        tokens: Regex::new(&all(TOKENS))?,
        carried: CARRIED
            .iter()
            .map(|one| Regex::new(&format!("(?-u){one}")))
            .collect::<Result<_, _>>()?,
        private_key: Regex::new(r"(?-u)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")?,
        key: Regex::new(
            r#"(?-u)(?P<k>[A-Za-z_][A-Za-z0-9_.-]*)(?P<s>\\?["']?\]?(?:[ \t]*(?::=|=>|=|:)[ \t]*|[ \t]*:[ \t]*\r?\n[ \t]+))"#,
        )?,
        pair: Regex::new(
            r#"(?-u)(?i)\b(?:name|key|variable)\\?["']?\s*[:=]\s*\\?["']?(?P<k>[A-Za-z_][A-Za-z0-9_.-]*)\\?["']?\s*[,;]?\s*(?:\\n)?\s*\\?["']?value\\?["']?[ \t]*[:=][ \t]*"#,
        )?,
        run: Regex::new(r"(?-u)[A-Za-z0-9+/_=-]{20,}")?,
        email: Regex::new(
            r"(?-u)[A-Za-z0-9_][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}",
        )?,
        phone: Regex::new(
            r"(?-u)(?:\+|\b00)[1-9][0-9]{0,2}(?:[ ./-]?\(?[0-9]{1,5}\)?){2,6}\b|\(?\b[0-9]{3}\)?[ .-][0-9]{3}[ .-][0-9]{4}\b|\b0[1-9][0-9]{1,4}[ /-][0-9]{3,4}[ -]?[0-9]{2,5}\b",
        )?,
        iban: Regex::new(r"(?-u)\b[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]{1,4}){3,9}\b")?,
        number: Regex::new(r"(?-u)\b[0-9](?:[ -]?[0-9]){8,18}\b")?,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_expression_is_one() {
        assert!(super::build().is_ok(), "{:?}", super::build().err());
    }
}
