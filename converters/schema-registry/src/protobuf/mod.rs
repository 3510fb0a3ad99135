//! `io.confluent.connect.protobuf.ProtobufConverter`.
//!
//! A schema of the registry is the text of a `.proto` file; which of its messages a record is stands before the record. A
//! message is compiled into a [`plan::Message`]: the Connect schema with, for each field, how it is read and written.

mod derive;
mod files;
mod known;
mod moments;
mod plan;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use connect_core::config::ConnectorConfig;
use connect_core::data::{Datum, Schema};
use connect_core::plugin::ConverterPlugin;
use connect_core::{Error, Result};
use prost_reflect::FileDescriptor;

use crate::converter::RegistryConverter;
use crate::format::{Derived, Format};
use crate::options::RegistryOptions;
use crate::registry::Resolved;
use plan::Message;

/// The parameter that holds an enumeration's name; with a dot and a symbol behind it, each symbol's number.
const ENUM: &str = "io.confluent.connect.protobuf.Enum";
/// The parameter that holds a field's number.
const TAG: &str = "io.confluent.connect.protobuf.Tag";
/// The name of the struct that stands for a oneof begins so.
const UNION: &str = "io.confluent.connect.protobuf.Union.";

/// A message may stand so deep in others.
const MOST_INDEXES: u64 = 100;

/// Options of the Protobuf converter.
#[derive(Debug, ConnectorConfig)]
struct ProtobufConverterOptions {
    #[option(flatten)]
    registry: RegistryOptions,
    #[option(flatten)]
    protobuf: ProtobufOptions,
}

/// How Connect's schemas and Protobuf's correspond.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Protobuf")]
struct ProtobufOptions {
    /// Whether structs are called by the full names of their messages, with the package.
    #[option(name = "enhanced.protobuf.schema.support", default = "false", importance = Medium)]
    enhanced: bool,
    /// Kept for configurations that set it; `max.schemas.per.subject` says how many schemas are remembered.
    #[option(name = "schemas.cache.config", default = "1000", importance = Low)]
    _schemas_cache: i32,
    /// Whether unions and enumerations have the names that are shared by all formats.
    #[option(name = "generalized.sum.type.support", default = "false", importance = Medium, unsupported = "oneofs are called io.confluent.connect.protobuf.Union")]
    _generalized: bool,
    /// Whether enumerations are numbers instead of text.
    #[option(name = "int.for.enums", default = "false", importance = Low, unsupported = "enumerations are text")]
    _int_for_enums: bool,
    /// Whether characters that Protobuf's names cannot hold are replaced.
    #[option(name = "scrub.invalid.names", default = "false", importance = Medium, unsupported = "such names are refused; a transform can rename them")]
    _scrub: bool,
    /// Whether optional fields are `optional` in the schemas that are registered, and only those are optional that are so.
    /// Without it every field that is read is optional, and a null is written as if the field were not there.
    #[option(name = "optional.for.nullables", default = "false", importance = Medium)]
    optional_for_nullables: bool,
    /// Whether optional fields of proto2 are optional.
    #[option(name = "optional.for.proto2", default = "true", importance = Low)]
    optional_for_proto2: bool,
    /// Whether optional fields of simple types are messages such as `google.protobuf.StringValue`.
    #[option(name = "wrapper.for.nullables", default = "false", importance = Medium)]
    wrapper_for_nullables: bool,
    /// Whether a record that is such a message is read as the value in it.
    #[option(name = "wrapper.for.raw.primitives", default = "true", importance = Low)]
    wrapper_for_raw_primitives: bool,
}

struct Protobuf(ProtobufOptions);

/// A file of the registry, with those of its messages that were met.
pub(crate) struct ProtoFile {
    file: FileDescriptor,
    messages: Mutex<HashMap<Vec<usize>, Arc<Message>>>,
}

impl ProtoFile {
    /// The message at `indexes`: the number of a message of the file, of a message inside that, and so on.
    fn message(&self, indexes: &[usize], options: &ProtobufOptions) -> Result<Arc<Message>> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(message) = messages.get(indexes) {
            return Ok(message.clone());
        }
        let missing = || Error::data(format!("the schema has no message at {indexes:?}"));
        let (first, inner) = indexes.split_first().ok_or_else(missing)?;
        let mut found = self.file.messages().nth(*first).ok_or_else(missing)?;
        for index in inner {
            let child = found.child_messages().nth(*index);
            found = child.ok_or_else(missing)?;
        }
        let message = Arc::new(plan::compile(&found, options)?);
        messages.insert(indexes.to_vec(), message.clone());
        Ok(message)
    }
}

impl Format for Protobuf {
    const NAME: &'static str = "PROTOBUF";
    type Schema = ProtoFile;

    fn parse(&self, schema: &Resolved) -> Result<ProtoFile> {
        Ok(ProtoFile {
            file: files::compile(schema)?,
            messages: Mutex::default(),
        })
    }

    fn derive(&self, schema: &Schema) -> Result<Derived> {
        derive::derive(schema, &self.0)
    }

    fn read(&self, file: &ProtoFile, mut payload: Bytes) -> Result<Datum> {
        let indexes = read_indexes(&mut payload)?;
        let message = file.message(&indexes, &self.0)?;
        read::read(&message, payload, &self.0)
    }

    fn write(
        &self,
        file: &ProtoFile,
        own: &Arc<Schema>,
        datum: &Datum,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let index = self.message_of(file, own);
        write_index(index, out);
        let message = file.message(&[index], &self.0)?;
        write::write(&message, datum.value(), out)
    }
}

impl Protobuf {
    /// The message that is called as the schema is; the first one of the file if none is.
    fn message_of(&self, file: &ProtoFile, own: &Schema) -> usize {
        let name = own.name.as_deref().unwrap_or_default();
        let simple = name.rsplit('.').next().unwrap_or_default();
        file.file
            .messages()
            .position(|message| message.full_name() == name || message.name() == simple)
            .unwrap_or_default()
    }
}

/// Which message a record is: a count and as many numbers, zigzag; the first message of the file is a zero alone.
fn read_indexes(payload: &mut Bytes) -> Result<Vec<usize>> {
    let count = read_zigzag(payload)?;
    if count == 0 {
        return Ok(vec![0]);
    }
    if count > MOST_INDEXES {
        return Err(Error::data("the record says no message of its schema"));
    }
    (0..count)
        .map(|_| read_zigzag(payload).map(|index| usize::try_from(index).unwrap_or(usize::MAX)))
        .collect()
}

/// A number that is not negative.
fn read_zigzag(payload: &mut Bytes) -> Result<u64> {
    let mut number = 0_u64;
    for shift in (0..32).step_by(7) {
        let byte = payload
            .try_get_u8()
            .map_err(|_| Error::data("the record ends before its message"))?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 && number & 1 == 0 {
            return Ok(number >> 1);
        }
    }
    Err(Error::data("the record says no message of its schema"))
}

fn write_index(index: usize, out: &mut Vec<u8>) {
    if index == 0 {
        out.push(0);
        return;
    }
    write::varint(2, out); // one number, zigzag
    write::varint(index as u64 * 2, out);
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "io.confluent.connect.protobuf.ProtobufConverter",
        version: crate::VERSION,
        definition: ProtobufConverterOptions::definition,
        make: Some(|options, role| {
            let options = ProtobufConverterOptions::from_map(options)?;
            Ok(Arc::new(RegistryConverter::new(Protobuf(options.protobuf), options.registry, role)?))
        }),
        make_header: None,
    }
}
