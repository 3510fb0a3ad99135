//! Whether a schema is one, and whether it may follow another.

use apache_avro::Schema as Avro;
use apache_avro::schema_compatibility::SchemaCompatibility;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use serde_json::Value;

use crate::answer::Refusal;

/// What a Protobuf schema is called when it is compiled.
const FILE: &str = "schema.proto";

/// The kinds of schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Avro,
    Json,
    Protobuf,
}

impl Kind {
    /// `AVRO` if it is not said.
    pub(crate) fn of(name: Option<&str>) -> Result<Self, Refusal> {
        match name {
            None | Some("AVRO") => Ok(Self::Avro),
            Some("JSON") => Ok(Self::Json),
            Some("PROTOBUF") => Ok(Self::Protobuf),
            Some(other) => Err(Refusal::Invalid(format!("Invalid schema type {other}"))),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
}

/// A schema with the texts it uses: what another one of them uses stands before it.
#[derive(Debug, Clone)]
pub(crate) struct Whole<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) uses: Vec<(String, String)>,
}

impl Whole<'_> {
    /// Refuses what is no schema; the form by which equal schemas are found.
    pub(crate) fn checked(&self, normalize: bool) -> Result<String, Refusal> {
        match self.kind {
            Kind::Avro => {
                let parsed = self.avro()?;
                if normalize {
                    return Ok(parsed.canonical_form());
                }
                // A type that is just a name may stand without quotes.
                let json: Option<Value> = serde_json::from_str(self.text).ok();
                Ok(json.map_or_else(|| self.text.to_owned(), |json| json.to_string()))
            }
            Kind::Json => {
                let json: Value = serde_json::from_str(self.text).map_err(invalid)?;
                if json.is_object() || json.is_boolean() {
                    Ok(json.to_string())
                } else {
                    Err(Refusal::Invalid(
                        "neither an object nor a boolean".to_owned(),
                    ))
                }
            }
            Kind::Protobuf => {
                self.protobuf()?;
                let words = self.text.split_whitespace();
                Ok(words.collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// True if data of `earlier` can be read with this one.
    pub(crate) fn can_read(&self, earlier: &Whole<'_>) -> Result<bool, Refusal> {
        if self.kind != earlier.kind {
            return Ok(false);
        }
        if self.kind != Kind::Avro {
            return Ok(true);
        }
        let (new, old) = (self.avro()?, earlier.avro()?);
        Ok(SchemaCompatibility::can_read(&old, &new).is_ok())
    }

    fn avro(&self) -> Result<Avro, Refusal> {
        let uses: Vec<_> = self.uses.iter().map(|(_, text)| text.as_str()).collect();
        if uses.is_empty() {
            return Avro::parse_str(self.text).map_err(invalid);
        }
        Avro::parse_str_with_list(self.text, uses)
            .map(|(schema, _)| schema)
            .map_err(invalid)
    }

    fn protobuf(&self) -> Result<(), Refusal> {
        let mut resolver = ChainFileResolver::new();
        let own = (FILE.to_owned(), self.text.to_owned());
        resolver.add(Texts(self.uses.iter().cloned().chain([own]).collect()));
        resolver.add(GoogleFileResolver::new());
        // Every registry has these.
        resolver.add(Texts(known()));
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.open_file(FILE).map(|_| ()).map_err(invalid)
    }
}

fn invalid(cause: impl std::fmt::Display) -> Refusal {
    Refusal::Invalid(cause.to_string())
}

fn known() -> Vec<(String, String)> {
    let meta = "syntax = \"proto3\"; package confluent; import \"google/protobuf/descriptor.proto\"; \
        message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; } \
        extend google.protobuf.FieldOptions { Meta field_meta = 1088; }";
    let decimal = "syntax = \"proto3\"; package confluent.type; \
        message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }";
    let date = "syntax = \"proto3\"; package google.type; message Date { int32 year = 1; int32 month = 2; int32 day = 3; }";
    let time = "syntax = \"proto3\"; package google.type; \
        message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }";
    [
        ("confluent/meta.proto", meta),
        ("confluent/type/decimal.proto", decimal),
        ("google/type/date.proto", date),
        ("google/type/timeofday.proto", time),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .into()
}

struct Texts(Vec<(String, String)>);

impl FileResolver for Texts {
    fn resolve_path(&self, path: &std::path::Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(own, _)| own == name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
