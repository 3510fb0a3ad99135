//! Levels of loggers, as `/admin/loggers` shows and changes them.
//!
//! A logger is a name with dots; a level set for one holds for all whose name begins with it. Names of Java loggers stand
//! for the parts of Sluice that do their work ([`JAVA_NAMES`]); any other name is a target of `tracing`, dots for `::`
//! (`sluice.rest` is `sluice::rest`).
//!
//! Holds always: what is shown is what is logged. Nothing outlives the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use connect_core::clock::{Clock, SystemClock};

/// The name of the logger above all.
const ROOT: &str = "root";

/// Java loggers and the beginnings of the targets that do what they tell of.
const JAVA_NAMES: &[(&str, &[&str])] = &[
    ("org.apache.kafka", &["sluice", "krafka"]),
    ("org.apache.kafka.clients", &["sluice::kafka", "krafka"]),
    ("org.apache.kafka.connect", &["sluice", "connect_core"]),
    (
        "org.apache.kafka.connect.converters",
        &["sluice_converters"],
    ),
    (
        "org.apache.kafka.connect.json",
        &["sluice_converters::json"],
    ),
    ("org.apache.kafka.connect.runtime", &["sluice::runtime"]),
    (
        "org.apache.kafka.connect.runtime.WorkerSinkTask",
        &["sluice::runtime::sink_"],
    ),
    (
        "org.apache.kafka.connect.runtime.WorkerSourceTask",
        &["sluice::runtime::source_"],
    ),
    ("org.apache.kafka.connect.runtime.rest", &["sluice::rest"]),
    ("org.apache.kafka.connect.storage", &["sluice::storage"]),
    (
        "org.apache.kafka.connect.transforms",
        &["sluice_transforms"],
    ),
];

/// Levels of log4j, the least talkative first.
const LEVELS: &[(&str, &str)] = &[
    ("OFF", "off"),
    ("FATAL", "off"),
    ("ERROR", "error"),
    ("WARN", "warn"),
    ("INFO", "info"),
    ("DEBUG", "debug"),
    ("TRACE", "trace"),
    ("ALL", "trace"),
];

/// The level of one logger.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LoggerLevel {
    /// Kafka Connect's name of the level.
    pub level: &'static str,
    /// When it was changed, in milliseconds since the epoch; `None` if it has not been.
    pub last_modified: Option<i64>,
}

/// Why a level was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// There is no such level.
    #[error("invalid log level '{0}'.")]
    Unknown(String),
    /// There is no level without a name.
    #[error("Illegal null or empty Level name.")]
    Empty,
}

/// Makes `tracing` follow the directives it is given.
type Apply = Box<dyn Fn(&str) + Send + Sync>;

/// The levels of a process.
pub struct LogLevels {
    levels: Mutex<BTreeMap<String, LoggerLevel>>,
    /// What was asked for at start beside the level of all: `target=level`.
    at_start: Vec<String>,
    apply: Apply,
}

impl LogLevels {
    /// Levels as they are after a start with `directives`; `apply` makes others count.
    pub fn new(directives: &str, apply: Apply) -> Self {
        let unchanged = |level| LoggerLevel {
            level,
            last_modified: None,
        };
        let (mut root, mut at_start, mut own) = ("ERROR", Vec::new(), BTreeMap::new());
        let directives = directives.split(',').map(str::trim);
        for directive in directives.filter(|directive| !directive.is_empty()) {
            if let Ok(level) = named(directive) {
                root = level;
                continue;
            }
            if let Some((target, level)) = directive.split_once('=')
                && let Ok(level) = named(level)
            {
                own.insert(target.replace("::", "."), unchanged(level));
            }
            at_start.push(directive.to_owned());
        }
        let known = JAVA_NAMES.iter().map(|(name, _)| *name).chain([ROOT]);
        let mut levels: BTreeMap<_, _> = known
            .map(|name| (name.to_owned(), unchanged(root)))
            .collect();
        levels.extend(own);
        Self {
            levels: Mutex::new(levels),
            at_start,
            apply,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, LoggerLevel>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All known loggers, by name.
    pub fn all(&self) -> BTreeMap<String, LoggerLevel> {
        self.lock().clone()
    }

    /// The level of a logger that is known.
    pub fn get(&self, name: &str) -> Option<LoggerLevel> {
        self.lock().get(canonical(name)).cloned()
    }

    /// Sets a logger's level, and that of all below it; the names of those that had another.
    ///
    /// # Errors
    /// There is no such level.
    pub fn set(&self, name: &str, level: &str) -> Result<Vec<String>, LevelError> {
        let level = named(level)?;
        let name = canonical(name);
        let mut levels = self.lock();
        let mut affected: BTreeSet<String> = levels
            .keys()
            .filter(|known| is_below(known, name))
            .cloned()
            .collect();
        if !levels.contains_key(name) {
            let inherited = inherited(&levels, name);
            levels.insert(name.to_owned(), inherited);
            affected.insert(name.to_owned());
        }
        affected.retain(|name| levels.get(name).is_none_or(|known| known.level != level));
        let changed = LoggerLevel {
            level,
            last_modified: Some(SystemClock.now().as_millis()),
        };
        for name in &affected {
            levels.insert(name.clone(), changed.clone());
        }
        (self.apply)(&directives(&levels, &self.at_start));
        Ok(affected.into_iter().collect())
    }
}

/// What holds for a logger for which nothing was set: the level of the nearest above it.
fn inherited(levels: &BTreeMap<String, LoggerLevel>, name: &str) -> LoggerLevel {
    let above = levels.iter().filter(|(above, _)| is_below(name, above));
    // The root is above all, and its name is not as long as it is near.
    let nearest = above.max_by_key(|(above, _)| if *above == ROOT { 0 } else { above.len() });
    LoggerLevel {
        level: nearest.map_or("ERROR", |(_, above)| above.level),
        last_modified: None,
    }
}

/// The directives for `tracing`: a level for all, one for each logger that was changed.
fn directives(levels: &BTreeMap<String, LoggerLevel>, at_start: &[String]) -> String {
    let root = levels.get(ROOT);
    let mut all = vec![
        root.map_or("error", |root| of_tracing(root.level))
            .to_owned(),
    ];
    if root.is_none_or(|root| root.last_modified.is_none()) {
        all.extend(at_start.iter().cloned());
    }
    for (name, level) in levels {
        if name != ROOT && level.last_modified.is_some() {
            let level = of_tracing(level.level);
            all.extend(
                targets(name)
                    .iter()
                    .map(|target| format!("{target}={level}")),
            );
        }
    }
    all.join(",")
}

fn targets(name: &str) -> Vec<String> {
    let nearest = JAVA_NAMES
        .iter()
        .filter(|(java, _)| is_below(name, java))
        .max_by_key(|(java, _)| java.len());
    match nearest {
        Some((_, targets)) => targets.iter().map(|target| (*target).to_owned()).collect(),
        None => vec![name.replace('.', "::")],
    }
}

fn is_below(name: &str, above: &str) -> bool {
    above == ROOT
        || name
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// log4j knows its root in any case.
fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case(ROOT) {
        ROOT
    } else {
        name
    }
}

fn named(level: &str) -> Result<&'static str, LevelError> {
    let trimmed = level.trim();
    if trimmed.is_empty() {
        return Err(LevelError::Empty);
    }
    let found = LEVELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(trimmed));
    found
        .map(|(name, _)| *name)
        .ok_or_else(|| LevelError::Unknown(level.to_owned()))
}

fn of_tracing(level: &str) -> &'static str {
    let found = LEVELS.iter().find(|(name, _)| *name == level);
    found.map_or("error", |(_, tracing)| tracing)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn levels(start: &str) -> (LogLevels, Arc<Mutex<String>>) {
        let applied = Arc::new(Mutex::new(String::new()));
        let seen = applied.clone();
        let apply = move |directives: &str| directives.clone_into(&mut seen.lock().unwrap());
        (LogLevels::new(start, Box::new(apply)), applied)
    }

    #[test]
    fn a_level_holds_for_the_logger_and_all_below_it() {
        let (levels, applied) = levels("info,krafka=warn");
        assert_eq!(
            levels.get("krafka").unwrap().level,
            "WARN",
            "as it was started"
        );
        assert_eq!(levels.set("a.b", "debug").unwrap(), ["a.b"]);
        assert_eq!(levels.set("a.bc", "DEBUG").unwrap(), ["a.bc"]);
        assert_eq!(levels.set("a.b", "trace").unwrap(), ["a.b"]);
        assert_eq!(levels.set("a", "warn").unwrap(), ["a", "a.b", "a.bc"]);
        assert_eq!(levels.set("a", "warn").unwrap(), Vec::<String>::new());
        assert_eq!(
            levels.set("b", "info").unwrap(),
            Vec::<String>::new(),
            "inherited"
        );
        assert_eq!(levels.get("b").unwrap().level, "INFO");
        assert_eq!(levels.get("a.b").unwrap().level, "WARN");
        assert_eq!(
            *applied.lock().unwrap(),
            "info,krafka=warn,a=warn,a::b=warn,a::bc=warn"
        );
        levels.set("ROOT", "ERROR").unwrap();
        assert!(applied.lock().unwrap().starts_with("error,a=error,"));
    }

    #[test]
    fn java_names_stand_for_the_parts_that_do_the_same() {
        assert_eq!(
            targets("org.apache.kafka.connect.runtime.WorkerSinkTask"),
            ["sluice::runtime::sink_"]
        );
        assert_eq!(
            targets("org.apache.kafka.connect.runtime.rest.RestServer"),
            ["sluice::rest"]
        );
        assert_eq!(
            targets("org.apache.kafka.connect.mirror"),
            ["sluice", "connect_core"]
        );
        assert_eq!(
            targets("org.apache.kafkaesque"),
            ["org::apache::kafkaesque"]
        );
    }

    #[test]
    fn a_level_that_is_none_changes_nothing() {
        let (levels, applied) = levels("warn");
        assert_eq!(
            levels.set("a", "LOUD"),
            Err(LevelError::Unknown("LOUD".to_owned()))
        );
        assert_eq!(levels.set("a", " "), Err(LevelError::Empty));
        assert_eq!(levels.get("a"), None);
        assert_eq!(levels.get("root").unwrap().level, "WARN");
        assert_eq!(*applied.lock().unwrap(), "");
    }
}
