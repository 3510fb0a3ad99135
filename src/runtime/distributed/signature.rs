//! Requests between workers of a group are signed, so that nobody else may write task configs: a MAC of the body under a
//! key that the leader puts into the config topic.
//!
//! Only with `connect.protocol=sessioned`, and in Kafka Connect's form. All of it is pure; the herder keeps the key.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect_core::data::Timestamp;
use connect_core::{Error, Result, Secret, option_names};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use crate::runtime::HerderError;

/// The header of the MAC, in base64.
pub const SIGNATURE_HEADER: &str = "X-Connect-Authorization";
/// The header of the algorithm, by its Java name.
pub const ALGORITHM_HEADER: &str = "X-Connect-Request-Signature-Algorithm";

/// How a body is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA-1, for groups that still have it.
    Sha1,
}

option_names!(MacAlgorithm {
    "HmacSHA256" => Sha256, "HmacSHA384" => Sha384, "HmacSHA512" => Sha512, "HmacSHA1" => Sha1,
});

impl MacAlgorithm {
    const ALL: [Self; 4] = [Self::Sha256, Self::Sha384, Self::Sha512, Self::Sha1];

    /// By Java's name, in any case; `None` if it is not known.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// Java's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "HmacSHA256",
            Self::Sha384 => "HmacSHA384",
            Self::Sha512 => "HmacSHA512",
            Self::Sha1 => "HmacSHA1",
        }
    }

    /// The bytes of a key, as many as Java's generator makes.
    fn key_length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 | Self::Sha1 => 64,
        }
    }

    fn key(self, key: &SessionKey) -> hmac::Key {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        hmac::Key::new(algorithm, key.key.expose())
    }
}

/// The key of a group's requests.
#[derive(Debug, Clone)]
pub struct SessionKey {
    key: Secret<Vec<u8>>,
    /// What it was made for, by Java's name.
    algorithm: String,
    created: Timestamp,
}

impl SessionKey {
    /// A new key, of `bits` if they are given.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate(algorithm: MacAlgorithm, bits: Option<usize>, now: Timestamp) -> Result<Self> {
        let length = bits.map_or(algorithm.key_length(), |bits| bits.div_ceil(8));
        let mut key = vec![0; length.max(1)];
        let filled = SystemRandom::new().fill(&mut key);
        filled.map_err(|_| Error::internal("no randomness for a session key"))?;
        Ok(Self {
            key: Secret::new(key),
            algorithm: algorithm.name().to_owned(),
            created: now,
        })
    }

    /// The record of the config topic, key `session-key`.
    pub fn to_record(&self) -> Value {
        json!({
            "key": STANDARD.encode(self.key.expose()),
            "algorithm": self.algorithm,
            "creation-timestamp": self.created.as_millis(),
        })
    }

    /// Reads the record.
    ///
    /// # Errors
    /// It is none; what is wrong is said without the key.
    pub fn from_record(record: &Value) -> Result<Self> {
        let text = |field: &str| record.get(field).and_then(Value::as_str);
        let created = record.get("creation-timestamp").and_then(Value::as_i64);
        let key = text("key").and_then(|key| STANDARD.decode(key).ok());
        let (Some(key), Some(algorithm), Some(created)) = (key, text("algorithm"), created) else {
            return Err(Error::data(
                "the session key of the config topic is not one: key, algorithm and creation-timestamp are needed",
            ));
        };
        Ok(Self {
            key: Secret::new(key),
            algorithm: algorithm.to_owned(),
            created: Timestamp::from_millis(created),
        })
    }

    /// Whether the leader must make another one: it is older than `lifetime`, or made for another algorithm.
    pub fn is_due(&self, now: Timestamp, lifetime: Duration, algorithm: MacAlgorithm) -> bool {
        let age = now.as_millis().saturating_sub(self.created.as_millis());
        let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        age >= lifetime || !self.algorithm.eq_ignore_ascii_case(algorithm.name())
    }
}

/// The signature of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSignature {
    /// By Java's name, as it came.
    algorithm: String,
    mac: Vec<u8>,
    /// What was signed.
    body: Vec<u8>,
}

impl RequestSignature {
    /// Signs a body, empty for a request that has none: the values of [`SIGNATURE_HEADER`] and [`ALGORITHM_HEADER`].
    pub fn headers(
        key: &SessionKey,
        algorithm: MacAlgorithm,
        body: &[u8],
    ) -> [(&'static str, String); 2] {
        let mac = hmac::sign(&algorithm.key(key), body);
        [
            (SIGNATURE_HEADER, STANDARD.encode(mac.as_ref())),
            (ALGORITHM_HEADER, algorithm.name().to_owned()),
        ]
    }

    /// The signature of a request that has come, of what stands in the two headers.
    ///
    /// # Errors
    /// It is no base64.
    pub fn received(
        mac: &str,
        algorithm: &str,
        body: &[u8],
    ) -> std::result::Result<Self, HerderError> {
        let mac = STANDARD
            .decode(mac.trim())
            .map_err(|_| HerderError::BadRequest(format!("{SIGNATURE_HEADER} is not in base64")))?;
        Ok(Self {
            algorithm: algorithm.trim().to_owned(),
            mac,
            body: body.to_vec(),
        })
    }

    /// Checks the signature of a request between workers; only where the group speaks the sessioned protocol.
    ///
    /// # Errors
    /// Why the request is refused.
    pub fn check(
        signature: Option<&Self>,
        accepted: &[MacAlgorithm],
        key: Option<&SessionKey>,
    ) -> std::result::Result<(), HerderError> {
        let Some(signature) = signature else {
            return Err(HerderError::BadRequest(
                "Internal request missing required signature".to_owned(),
            ));
        };
        let named = MacAlgorithm::named(&signature.algorithm);
        let Some(algorithm) = named.filter(|named| accepted.contains(named)) else {
            return Err(signature.not_accepted(accepted));
        };
        let Some(key) = key else {
            return Err(HerderError::Unavailable(
                "This worker is still starting up and has not been able to read a session key from the config topic yet"
                    .to_owned(),
            ));
        };
        hmac::verify(&algorithm.key(key), &signature.body, &signature.mac).map_err(|_| {
            HerderError::Forbidden("Internal request contained invalid signature.".to_owned())
        })
    }

    fn not_accepted(&self, accepted: &[MacAlgorithm]) -> HerderError {
        let names: Vec<_> = accepted.iter().map(|accepted| accepted.name()).collect();
        HerderError::BadRequest(format!(
            "This worker does not support the '{}' key signing algorithm used by other workers. This worker is currently configured to use: [{}]. Check that all workers' configuration files permit the same set of signature algorithms, and correct any misconfigured worker and restart it.",
            self.algorithm,
            names.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of the bytes 0 to 31 and what Java's `Mac` makes of a body with it.
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const BODY: &[u8] = br#"[{"file":"in.txt","task.class":"X"}]"#;
    const MACS: &[(&str, &str, &str)] = &[
        (
            "HmacSHA256",
            "pP5vzMHa+hOtU7ARGWVbfab0aR8tPPAJ+boCjz6zU9w=",
            "04tCCW2A9F+Ca0Sp1WB95ySWpBXT9KGoyI47udqNwcs=",
        ),
        (
            "HmacSHA384",
            "BPYlXESb5xfCL0Yn+Ew95nJBfufIBnIA1XLF81OsjSRuaHN9YZWUk2JgnvtZIFK6",
            "j4aDrvJXVhW+CRu2zaRLsQPI/H9o3Qh5gk/6wkbo8sp0ccYF1T9plBxRtHVJFoIW",
        ),
        (
            "HmacSHA512",
            "WTcYhyMhIZBv62B5z6W6GY1+FAPAoO/ouy9wouCus4G6QtBerFpM9+4sxtncXX5hWy8cIB5M6fv0nAyNCFT1GA==",
            "sEpw9F6VKZaAYPACY0TV9NpZ8cPOIoJF9rsIjXuKqfyPXzwqSAJ+SDON4PvsfZ2P7ZY64zPSucVwTi6Vhk7Hiw==",
        ),
        (
            "HmacSHA1",
            "VKo4WvOFktdjWhFHpqDVsoovfXY=",
            "tFmyocn8L2aMZQn2kH1B8iCfUHw=",
        ),
    ];

    fn key() -> SessionKey {
        let record = json!({ "key": KEY, "algorithm": "HmacSHA256", "creation-timestamp": 1000 });
        SessionKey::from_record(&record).unwrap()
    }

    fn received(algorithm: &str, mac: &str, body: &[u8]) -> RequestSignature {
        RequestSignature::received(mac, algorithm, body).unwrap()
    }

    #[test]
    fn bodies_are_signed_as_java_signs_them() {
        for (name, of_body, of_nothing) in MACS {
            let algorithm = MacAlgorithm::named(name).unwrap();
            for (body, mac) in [(BODY, of_body), (&[][..], of_nothing)] {
                let headers = RequestSignature::headers(&key(), algorithm, body);
                assert_eq!(headers[0], (SIGNATURE_HEADER, (*mac).to_owned()));
                assert_eq!(headers[1], (ALGORITHM_HEADER, (*name).to_owned()));
                let signature = received(name, mac, body);
                RequestSignature::check(Some(&signature), &[algorithm], Some(&key())).unwrap();
            }
        }
    }

    #[test]
    fn a_request_that_is_not_signed_well_is_refused_with_the_reason() {
        let sha256 = MacAlgorithm::named("HmacSHA256").unwrap();
        let check = |signature: Option<RequestSignature>, key: Option<&SessionKey>| {
            RequestSignature::check(signature.as_ref(), &[sha256], key).unwrap_err()
        };
        let good = received("HmacSHA256", MACS[0].1, BODY);
        assert!(matches!(
            check(None, Some(&key())),
            HerderError::BadRequest(_)
        ));
        assert!(matches!(
            check(Some(good), None),
            HerderError::Unavailable(_)
        ));
        let other_body = received("HmacSHA256", MACS[0].1, b"[]");
        assert!(matches!(
            check(Some(other_body), Some(&key())),
            HerderError::Forbidden(_)
        ));
        let short = received("HmacSHA256", "", BODY);
        assert!(matches!(
            check(Some(short), Some(&key())),
            HerderError::Forbidden(_)
        ));
        for other in ["HmacSHA512", "HmacMD5", ""] {
            let signature = received(other, MACS[2].1, BODY);
            let refusal = check(Some(signature), Some(&key())).to_string();
            assert!(refusal.contains(&format!("'{other}'")) && refusal.contains("[HmacSHA256]"));
        }
        assert!(RequestSignature::received("no base64!", "HmacSHA256", BODY).is_err());
    }

    #[test]
    fn a_key_is_written_and_read_and_made_anew_in_time() {
        let sha256 = MacAlgorithm::named("hmacsha256").unwrap();
        let now = Timestamp::from_millis(5000);
        let key = SessionKey::generate(sha256, None, now).unwrap();
        assert_eq!(key.key.expose().len(), 32);
        let read = SessionKey::from_record(&key.to_record()).unwrap();
        assert_eq!(read.to_record(), key.to_record());
        let hour = Duration::from_secs(3600);
        let later = |millis: i64| Timestamp::from_millis(5000 + millis);
        assert!(!read.is_due(later(3_599_999), hour, sha256));
        assert!(read.is_due(later(3_600_000), hour, sha256));
        let sha512 = MacAlgorithm::named("HmacSHA512").unwrap();
        assert!(read.is_due(later(0), hour, sha512));
        let longer = SessionKey::generate(sha512, Some(1000), now).unwrap();
        assert_eq!(longer.key.expose().len(), 125);
        assert!(SessionKey::from_record(&json!({ "key": "AA==" })).is_err());
        assert!(!format!("{read:?}").contains(KEY));
    }
}
