//! Options of `DatagenConnector`, and the schema they choose.

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};

use super::avro::{self, Files, Plan};
use super::quickstart::{self, Quickstart};

/// The options that say what records look like: one of them.
const SOURCES: [&str; 3] = ["schema.string", "schema.filename", "quickstart"];

/// Options of Confluent's generator.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Datagen")]
pub(crate) struct DatagenConnectorConfig {
    /// The topic to write to.
    #[option(name = "kafka.topic", importance = High, validator = Validator::NonEmpty)]
    pub(crate) topic: String,
    /// Milliseconds between two records of a task, at the most: each pause is a random one below. 0: none.
    #[option(name = "max.interval", default = "500", importance = High)]
    pub(crate) max_interval: i64,
    /// Records each task makes; it fails when it would make one more, as the original does. Less than 1: without end.
    #[option(name = "iterations", default = "-1", importance = High, kind = Int)]
    pub(crate) iterations: i64,
    /// An Avro schema in JSON, with `arg.properties`.
    #[option(name = "schema.string", default = "", importance = High)]
    pub(crate) schema_string: String,
    /// A file with such a schema.
    #[option(name = "schema.filename", default = "", importance = High)]
    pub(crate) schema_filename: String,
    /// The field that becomes the key, with its schema. By default the quickstart's; with a schema of one's own none.
    #[option(name = "schema.keyfield", default = "", importance = High)]
    pub(crate) key_field: String,
    /// One of the schemas that come with the connector.
    #[option(name = "quickstart", default = "", importance = High, validator = Validator::Custom(known_quickstart))]
    pub(crate) quickstart: String,
    /// The same seed makes the same records; each task makes others. By default they differ from start to start.
    #[option(name = "random.seed", importance = Low)]
    pub(crate) seed: Option<i64>,
    /// Milliseconds that making one record may take before the task fails.
    #[option(name = "generate.timeout", importance = Low, validator = Validator::Custom(positive))]
    pub(crate) timeout: Option<i64>,
}

fn known_quickstart(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(name) if !name.is_empty() && Quickstart::named(name).is_none() => {
            let names: Vec<_> = quickstart::ALL.iter().map(|known| known.name).collect();
            Err(format!(
                "String must be one of (case insensitive): {}",
                names.join(", ")
            ))
        }
        _ => Ok(()),
    }
}

fn positive(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Integer(number) if *number < 1 => Err("Value must be at least 1".to_owned()),
        _ => Ok(()),
    }
}

/// What records look like.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) plan: Plan,
    /// How many iterations the plan has.
    pub(crate) counters: usize,
    /// The place of the field that becomes the key.
    pub(crate) key: Option<usize>,
}

impl DatagenConnectorConfig {
    /// The chosen schema, by a plan; `None` if it is in a file, and files are not to be looked into.
    ///
    /// # Errors
    /// The option that is wrong.
    pub(crate) fn choose(&self, files: Files) -> Result<Option<Chosen>, OptionError> {
        let quickstart = Quickstart::named(&self.quickstart);
        let read;
        let (option, value, text) = if let Some(quickstart) = quickstart {
            ("quickstart", &self.quickstart, quickstart.schema)
        } else if self.schema_filename.is_empty() {
            (
                "schema.string",
                &self.schema_string,
                self.schema_string.as_str(),
            )
        } else if files == Files::Ignore {
            return Ok(None);
        } else {
            read = self.read_file()?;
            ("schema.filename", &self.schema_filename, read.as_str())
        };
        let (plan, counters) = avro::read(text, files).map_err(|error| {
            let reason = format!("Unable to parse the provided schema: {error}");
            OptionError::invalid(option, value, &reason)
        })?;
        let of_quickstart = quickstart.map_or("", |quickstart| quickstart.key);
        let key = match self.key_field.as_str() {
            "" => of_quickstart,
            chosen => chosen,
        };
        let key = key_place(&plan, key)?;
        Ok(Some(Chosen {
            plan,
            counters,
            key,
        }))
    }

    fn read_file(&self) -> Result<String, OptionError> {
        connect_core::named_file::read_text(&self.schema_filename).map_err(|error| {
            let reason = format!("Unable to find the schema file: {error}");
            OptionError::invalid("schema.filename", &self.schema_filename, &reason)
        })
    }

    /// The rule that there is one schema, then what is wrong with it.
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let given = [&self.schema_string, &self.schema_filename, &self.quickstart];
        let sources = SOURCES.iter().zip(given);
        let set: Vec<_> = sources.filter(|(_, value)| !value.is_empty()).collect();
        let message = format!("Must set exactly one of {}", SOURCES.join(", "));
        let error = |option: &str| OptionError::new(option, message.clone());
        match set.as_slice() {
            [] => SOURCES.map(error).into(),
            [_] => self.choose(Files::Ignore).err().into_iter().collect(),
            several => several.iter().map(|(option, _)| error(option)).collect(),
        }
    }
}

fn key_place(plan: &Plan, key: &str) -> Result<Option<usize>, OptionError> {
    let connect_core::data::Type::Struct(fields) = &plan.schema.kind else {
        return Ok(None);
    };
    if key.is_empty() {
        return Ok(None);
    }
    let place = fields.iter().position(|field| &*field.name == key);
    let reason = "the schema has no such field";
    let wrong = || OptionError::invalid("schema.keyfield", key, reason);
    place.ok_or_else(wrong).map(Some)
}
