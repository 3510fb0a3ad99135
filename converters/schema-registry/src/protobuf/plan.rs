//! A message compiled: the Connect schema, and how each field is read and written.

use std::sync::Arc;

use connect_core::data::{Field, Schema, Type, logical};
use connect_core::{Error, Result};
use prost_reflect::{FieldDescriptor, Kind, MapKey, MessageDescriptor, Syntax, Value as Proto};

use super::{ENUM, ProtobufOptions, TAG, UNION};
use crate::format::MOST_LEVELS;

/// A schema has at most this many fields, those of messages in messages each time counted.
const MOST_FIELDS: usize = 100_000;

/// What one value is.
#[derive(Debug, Clone)]
pub(super) enum Element {
    Bool,
    Int8,
    Int16,
    Int32,
    /// Signed, or unsigned of up to 64 bits: the largest wrap.
    Int64,
    Float,
    Double,
    String,
    Bytes,
    Enum(prost_reflect::EnumDescriptor),
    Message(Box<Message>),
    /// A message whose one field is the value.
    Wrapper(Box<Element>, FieldDescriptor),
    Decimal(i32),
    Date,
    Time,
    Timestamp,
}

/// How many values a field has.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    One(Element),
    List(Element),
    Map(Element, Element),
}

/// A field of a message.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) field: FieldDescriptor,
    pub(super) shape: Shape,
    pub(super) schema: Arc<Schema>,
}

/// A field of the struct that a message is.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Field(Place),
    /// A oneof: a struct of which one field is set.
    OneOf(Arc<Schema>, Vec<Place>),
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(super) descriptor: MessageDescriptor,
    pub(super) schema: Arc<Schema>,
    pub(super) parts: Vec<Part>,
}

/// Compiles a message.
pub(super) fn compile(message: &MessageDescriptor, options: &ProtobufOptions) -> Result<Message> {
    let mut compiler = Compiler {
        options,
        building: Vec::new(),
        fields: 0,
    };
    compiler.message(message)
}

struct Compiler<'a> {
    options: &'a ProtobufOptions,
    /// Messages that are being compiled: one that holds itself has no end.
    building: Vec<String>,
    fields: usize,
}

impl Compiler<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> Result<Message> {
        let name = message.full_name().to_owned();
        if self.building.contains(&name) {
            return Err(Error::data(format!(
                "the message {name} holds itself: Connect has no such schemas"
            )));
        }
        if self.building.len() >= MOST_LEVELS {
            return Err(Error::data(format!(
                "the message {name} stands in more than {MOST_LEVELS} others"
            )));
        }
        self.building.push(name);
        let compiled = self.fields_of(message);
        self.building.pop();
        compiled
    }

    /// Oneofs first, then the fields in the order of the file.
    fn fields_of(&mut self, message: &MessageDescriptor) -> Result<Message> {
        let (mut fields, mut parts) = (Vec::new(), Vec::new());
        for (index, oneof) in message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .enumerate()
        {
            let mut members = Vec::new();
            for field in oneof.fields() {
                members.push(self.place(&field, true)?);
            }
            let schema = Arc::new(union(oneof.name(), &members));
            fields.push(Field {
                name: format!("{}_{index}", oneof.name()).into(),
                schema: schema.clone(),
            });
            parts.push(Part::OneOf(schema, members));
        }
        for declared in &message.descriptor_proto().field {
            let number = u32::try_from(declared.number()).unwrap_or_default();
            let Some(field) = message.get_field(number) else {
                continue;
            };
            if field
                .containing_oneof()
                .is_some_and(|oneof| !oneof.is_synthetic())
            {
                continue;
            }
            let place = self.place(&field, self.is_optional(&field))?;
            fields.push(Field {
                name: field.name().into(),
                schema: place.schema.clone(),
            });
            parts.push(Part::Field(place));
        }
        let mut schema = Schema::new(Type::Struct(fields));
        let name = if self.options.enhanced {
            message.full_name()
        } else {
            message.name()
        };
        schema.name = Some(name.into());
        Ok(Message {
            descriptor: message.clone(),
            schema: Arc::new(schema),
            parts,
        })
    }

    fn is_optional(&self, field: &FieldDescriptor) -> bool {
        if field.is_required() {
            return false;
        }
        let is_proto2 = field.parent_file().syntax() == Syntax::Proto2;
        let is_marked = field.field_descriptor_proto().proto3_optional();
        let is_wrapper = self.options.wrapper_for_nullables && wrapped(field).is_some();
        if self.options.optional_for_nullables {
            return is_wrapper || is_marked || (is_proto2 && !field.is_list() && !field.is_map());
        }
        !is_proto2 || self.options.optional_for_proto2
    }

    fn place(&mut self, field: &FieldDescriptor, optional: bool) -> Result<Place> {
        self.fields += 1;
        if self.fields > MOST_FIELDS {
            return Err(Error::data("the schema has too many fields"));
        }
        let (mut schema, shape) = if let Some((keys, values)) = map_fields(field) {
            let (key_schema, key) = self.element(&keys, &keys)?;
            let (value_schema, value) = self.element(&values, field)?;
            let kind = Type::Map(Arc::new(key_schema), Arc::new(value_schema));
            (Schema::new(kind), Shape::Map(key, value))
        } else {
            let (schema, element) = self.element(field, field)?;
            if field.is_list() {
                let kind = Type::Array(Arc::new(schema));
                (Schema::new(kind), Shape::List(element))
            } else {
                (schema, Shape::One(element))
            }
        };
        schema.optional = optional;
        schema
            .parameters
            .insert(TAG.to_owned(), field.number().to_string());
        Ok(Place {
            field: field.clone(),
            shape,
            schema: Arc::new(schema),
        })
    }

    /// The type of one value. Of a map's values `described` is the map: Connect speaks of them there.
    fn element(
        &mut self,
        field: &FieldDescriptor,
        described: &FieldDescriptor,
    ) -> Result<(Schema, Element)> {
        let connect_type = meta(described, "connect.type");
        Ok(match field.kind() {
            Kind::Bool => (Schema::new(Type::Boolean), Element::Bool),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => match connect_type.as_deref() {
                Some("int8") => (Schema::new(Type::Int8), Element::Int8),
                Some("int16") => (Schema::new(Type::Int16), Element::Int16),
                _ => (Schema::new(Type::Int32), Element::Int32),
            },
            Kind::Uint32
            | Kind::Fixed32
            | Kind::Int64
            | Kind::Uint64
            | Kind::Sint64
            | Kind::Fixed64
            | Kind::Sfixed64 => (Schema::new(Type::Int64), Element::Int64),
            Kind::Float => (Schema::new(Type::Float32), Element::Float),
            Kind::Double => (Schema::new(Type::Float64), Element::Double),
            Kind::String => (Schema::new(Type::String), Element::String),
            Kind::Bytes => (Schema::new(Type::Bytes), Element::Bytes),
            Kind::Enum(kind) => {
                let mut schema = Schema::new(Type::String);
                schema.name = Some(kind.name().into());
                schema
                    .parameters
                    .insert(ENUM.to_owned(), kind.name().to_owned());
                for value in kind.values() {
                    let parameter = format!("{ENUM}.{}", value.name());
                    schema
                        .parameters
                        .insert(parameter, value.number().to_string());
                }
                (schema, Element::Enum(kind))
            }
            Kind::Message(message) => self.message_element((field, described), &message)?,
        })
    }

    fn message_element(
        &mut self,
        (field, described): (&FieldDescriptor, &FieldDescriptor),
        message: &MessageDescriptor,
    ) -> Result<(Schema, Element)> {
        let logical = |kind, name: &str| Schema::new(kind).named(name).version(1);
        Ok(match message.full_name() {
            "google.protobuf.Timestamp" => {
                (logical(Type::Int64, logical::TIMESTAMP), Element::Timestamp)
            }
            "google.type.Date" => (logical(Type::Int32, logical::DATE), Element::Date),
            "google.type.TimeOfDay" => (logical(Type::Int32, logical::TIME), Element::Time),
            "confluent.type.Decimal" => {
                let scale = meta(described, "scale").and_then(|scale| scale.parse().ok());
                let scale: i32 = scale.unwrap_or_default();
                let mut schema = logical(Type::Bytes, logical::DECIMAL);
                schema
                    .parameters
                    .insert("scale".to_owned(), scale.to_string());
                (schema, Element::Decimal(scale))
            }
            _ => match wrapped(field).filter(|_| self.options.wrapper_for_nullables) {
                Some(inner) => {
                    let (schema, element) = self.element(&inner, described)?;
                    (schema, Element::Wrapper(Box::new(element), inner))
                }
                None => {
                    let message = self.message(message)?;
                    (
                        (*message.schema).clone(),
                        Element::Message(Box::new(message)),
                    )
                }
            },
        })
    }
}

/// Key and value of a map.
fn map_fields(field: &FieldDescriptor) -> Option<(FieldDescriptor, FieldDescriptor)> {
    let entry = field
        .kind()
        .as_message()
        .filter(|_| field.is_map())?
        .clone();
    Some((entry.map_entry_key_field(), entry.map_entry_value_field()))
}

/// The field of a message such as `google.protobuf.StringValue`.
fn wrapped(field: &FieldDescriptor) -> Option<FieldDescriptor> {
    wrapped_in(field.kind().as_message()?)
}

/// The field of a message such as `google.protobuf.StringValue`.
pub(super) fn wrapped_in(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    let known = [
        "DoubleValue",
        "FloatValue",
        "Int64Value",
        "UInt64Value",
        "Int32Value",
        "UInt32Value",
        "BoolValue",
        "StringValue",
        "BytesValue",
    ];
    known.contains(&name).then(|| message.get_field(1))?
}

/// What Connect has said about a field.
fn meta(field: &FieldDescriptor, key: &str) -> Option<String> {
    let extension = field
        .parent_pool()
        .get_extension_by_name("confluent.field_meta")?;
    let options = field.options();
    let meta = options.get_extension(&extension);
    let parameters = meta.as_message()?.get_field_by_name("params")?;
    let value = parameters.as_map()?.get(&MapKey::String(key.to_owned()))?;
    match value {
        Proto::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn union(name: &str, members: &[Place]) -> Schema {
    let field = |place: &Place| Field {
        name: place.field.name().into(),
        schema: place.schema.clone(),
    };
    let fields = members.iter().map(field).collect();
    Schema::new(Type::Struct(fields))
        .named(format!("{UNION}{name}"))
        .optional()
}
