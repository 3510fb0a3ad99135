//! The settings a topic may have: Kafka's names and defaults (of 4.3), checked when a topic is made.
//!
//! `cleanup.policy`, `delete.retention.ms`, `retention.ms`, `retention.bytes` and `message.timestamp.type` have an effect;
//! the others are kept and shown.

use std::collections::BTreeMap;

use connect_core::{Error, Result};

const WEEK: &str = "604800000";
const MOST: &str = "9223372036854775807";

/// Name, default, and the least a number may be (`None`: it is no whole number).
const KNOWN: [(&str, &str, Option<i64>); 33] = [
    ("cleanup.policy", "delete", None),
    ("compression.gzip.level", "-1", Some(-1)),
    ("compression.lz4.level", "9", Some(1)),
    ("compression.type", "producer", None),
    ("compression.zstd.level", "3", Some(-131_072)),
    ("delete.retention.ms", "86400000", Some(0)),
    ("file.delete.delay.ms", "60000", Some(0)),
    ("flush.messages", MOST, Some(1)),
    ("flush.ms", MOST, Some(0)),
    ("follower.replication.throttled.replicas", "", None),
    ("index.interval.bytes", "4096", Some(0)),
    ("leader.replication.throttled.replicas", "", None),
    ("local.retention.bytes", "-2", Some(-2)),
    ("local.retention.ms", "-2", Some(-2)),
    ("max.compaction.lag.ms", MOST, Some(1)),
    ("max.message.bytes", "1048588", Some(0)),
    ("message.timestamp.after.max.ms", "3600000", Some(0)),
    ("message.timestamp.before.max.ms", MOST, Some(0)),
    ("message.timestamp.type", "CreateTime", None),
    ("min.cleanable.dirty.ratio", "0.5", None),
    ("min.compaction.lag.ms", "0", Some(0)),
    ("min.insync.replicas", "1", Some(1)),
    ("preallocate", "false", None),
    ("remote.log.copy.disable", "false", None),
    ("remote.log.delete.on.disable", "false", None),
    ("remote.storage.enable", "false", None),
    ("retention.bytes", "-1", Some(-1)),
    ("retention.ms", WEEK, Some(-1)),
    ("segment.bytes", "1073741824", Some(14)),
    ("segment.index.bytes", "10485760", Some(4)),
    ("segment.jitter.ms", "0", Some(0)),
    ("segment.ms", WEEK, Some(1)),
    ("unclean.leader.election.enable", "false", None),
];

/// The settings that are given, and the defaults of all others.
pub(super) fn with_defaults(given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let defaults = KNOWN.map(|(name, default, _)| (name.to_owned(), default.to_owned()));
    let mut settings = BTreeMap::from(defaults);
    settings.extend(given.clone());
    settings
}

/// Refuses the first setting that is not known or has a value it cannot have.
pub(super) fn check(given: &BTreeMap<String, String>) -> Result<()> {
    given
        .iter()
        .try_for_each(|(name, value)| check_one(name, value))
}

fn check_one(name: &str, value: &str) -> Result<()> {
    let Some((_, _, least)) = KNOWN.iter().find(|(known, ..)| *known == name) else {
        return Err(Error::config(format!("unknown topic setting {name}")));
    };
    let legal = match (name, least) {
        (_, Some(least)) => value.parse::<i64>().is_ok_and(|number| number >= *least),
        ("cleanup.policy", _) => value
            .split(',')
            .all(|policy| ["compact", "delete"].contains(&policy.trim())),
        ("message.timestamp.type", _) => ["CreateTime", "LogAppendTime"].contains(&value),
        _ => true,
    };
    if legal {
        return Ok(());
    }
    Err(Error::config(format!(
        "invalid value {value} for topic setting {name}"
    )))
}
