//! The worker's options about signing requests between workers, under Kafka Connect's keys.

use std::time::Duration;

use connect_core::config::{ConfigDef, ConfigMap, ConnectorConfig, OptionError};

use super::signature::MacAlgorithm;

/// Options of a worker in a group that speaks the sessioned protocol.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Cluster")]
struct InterWorkerConfig {
    /// What session keys are made for, by the leader.
    #[option(name = "inter.worker.key.generation.algorithm", default = "HmacSHA256", importance = Low)]
    key_generation: MacAlgorithm,
    /// The bits of a session key; if not given, as many as the algorithm makes.
    #[option(name = "inter.worker.key.size", importance = Low, validator = Validator::AtLeast(1))]
    key_bits: Option<i32>,
    /// Milliseconds until the leader makes another session key.
    #[option(name = "inter.worker.key.ttl.ms", default = "3600000", importance = Low)]
    key_lifetime: Duration,
    /// How this worker signs what it asks of other workers.
    #[option(name = "inter.worker.signature.algorithm", default = "HmacSHA256", importance = Low)]
    signature: MacAlgorithm,
    /// What this worker accepts of others; must hold the algorithm it signs with itself.
    #[option(name = "inter.worker.verification.algorithms", default = "HmacSHA256", importance = Low, validator = Validator::NonEmpty)]
    verification: Vec<String>,
}

/// How requests between workers are signed, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningOptions {
    /// What session keys are made for.
    pub key_generation: MacAlgorithm,
    /// The bits of a session key; `None`: as many as the algorithm makes.
    pub key_bits: Option<usize>,
    /// How long a session key is used.
    pub key_lifetime: Duration,
    /// How this worker signs.
    pub signature: MacAlgorithm,
    /// What this worker accepts.
    pub accepted: Vec<MacAlgorithm>,
}

impl SigningOptions {
    /// Those of a worker's properties.
    ///
    /// # Errors
    /// Every wrong key.
    pub fn of(properties: &ConfigMap) -> Result<Self, Vec<OptionError>> {
        let config = InterWorkerConfig::from_map(properties)?;
        let key = "inter.worker.verification.algorithms";
        let accepted = config.verification.iter().map(|name| {
            let unknown = || OptionError::invalid(key, name, "the algorithm is not known");
            MacAlgorithm::named(name).ok_or_else(unknown)
        });
        let accepted: Vec<_> = accepted
            .collect::<Result<_, _>>()
            .map_err(|error| vec![error])?;
        if !accepted.contains(&config.signature) {
            let key = "inter.worker.signature.algorithm";
            let why =
                "Signature algorithm must be present in inter.worker.verification.algorithms list";
            return Err(vec![OptionError::invalid(
                key,
                config.signature.name(),
                why,
            )]);
        }
        Ok(Self {
            key_generation: config.key_generation,
            key_bits: config.key_bits.and_then(|bits| usize::try_from(bits).ok()),
            key_lifetime: config.key_lifetime,
            signature: config.signature,
            accepted,
        })
    }

    /// The options with their defaults.
    pub fn definition() -> ConfigDef {
        InterWorkerConfig::definition()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<SigningOptions, String> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| (format!("inter.worker.{key}"), (*value).to_owned()));
        SigningOptions::of(&pairs.collect()).map_err(|errors| errors[0].to_string())
    }

    #[test]
    fn defaults_are_kafka_connects() {
        let options = of(&[]).unwrap();
        assert_eq!(options.key_generation, MacAlgorithm::Sha256);
        assert_eq!(options.signature, MacAlgorithm::Sha256);
        assert_eq!(options.accepted, [MacAlgorithm::Sha256]);
        assert_eq!(options.key_lifetime, Duration::from_secs(3600));
        assert_eq!(options.key_bits, None);
    }

    #[test]
    fn what_a_worker_signs_with_it_must_accept() {
        let other = [("signature.algorithm", "HmacSHA512")];
        assert!(
            of(&other)
                .unwrap_err()
                .contains("inter.worker.signature.algorithm")
        );
        let both = [
            other[0],
            ("verification.algorithms", "HmacSHA256, hmacsha512"),
        ];
        let options = of(&both).unwrap();
        assert_eq!(
            options.accepted,
            [MacAlgorithm::Sha256, MacAlgorithm::Sha512]
        );
        for (key, value) in [
            ("verification.algorithms", "HmacSHA256,HmacMD5"),
            ("key.generation.algorithm", "AES"),
            ("key.size", "0"),
        ] {
            assert!(of(&[(key, value)]).unwrap_err().contains(key), "{key}");
        }
    }
}
