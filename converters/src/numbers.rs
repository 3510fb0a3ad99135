//! `BooleanConverter`, `ShortConverter`, `IntegerConverter`, `LongConverter`, `FloatConverter` and `DoubleConverter` of
//! `org.apache.kafka.connect.converters`: one value as Kafka's own serializers write it, big-endian and of fixed width.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::ConfigDef;
use connect_core::data::{Datum, RawHeaders, Schema, Type, Value, java};
use connect_core::plugin::{Converter, ConverterPlugin, HeaderConverter};
use connect_core::{Error, Result};

/// A value of fixed width.
pub(crate) trait Fixed: Sized + Send + Sync + 'static {
    /// Its name in errors.
    const NAME: &'static str;
    /// Its type.
    const TYPE: Type;
    /// What Kafka refuses wrong bytes with.
    const WRONG_SIZE: &'static str;
    /// Whether the schema must be of the type too, not only the value.
    const CHECKS_SCHEMA: bool = false;

    /// What Kafka refuses a value of another class with.
    fn refusal(class: &str) -> String {
        format!("Failed to serialize to {} (was {class}): ", Self::NAME)
    }

    fn read(bytes: &[u8]) -> Option<Value>;
    fn write(value: &Value) -> Option<Bytes>;
}

/// Converts values of one type of fixed width.
pub(crate) struct FixedConverter<T> {
    schema: Arc<Schema>,
    of: PhantomData<T>,
}

impl<T: Fixed> FixedConverter<T> {
    pub(crate) fn new() -> Self {
        Self {
            schema: Arc::new(Schema::new(T::TYPE).optional()),
            of: PhantomData,
        }
    }

    fn read(&self, bytes: Option<&Bytes>) -> Result<Datum> {
        let value = match bytes {
            None => Value::Null,
            Some(bytes) => T::read(bytes).ok_or_else(|| {
                Error::data(format!("Failed to deserialize {}: ", T::NAME))
                    .source(Error::data(T::WRONG_SIZE))
            })?,
        };
        Ok(Datum::with_schema(self.schema.clone(), value))
    }

    fn write(datum: &Datum) -> Result<Option<Bytes>> {
        if T::CHECKS_SCHEMA
            && let Some(schema) = datum.schema()
            && schema.kind != T::TYPE
        {
            let found = schema.kind.name();
            return Err(Error::data(format!(
                "Invalid schema type for BooleanConverter: {found}"
            )));
        }
        match datum.value() {
            Value::Null => Ok(None),
            value => T::write(value)
                .map(Some)
                .ok_or_else(|| Error::data(T::refusal(&java::class_text(value)))),
        }
    }
}

impl<T: Fixed> Converter for FixedConverter<T> {
    fn to_connect(&self, _: &str, _: &RawHeaders, bytes: Option<&Bytes>) -> Result<Datum> {
        self.read(bytes)
    }

    fn to_bytes(&self, _: &str, datum: &Datum) -> Result<Option<Bytes>> {
        Self::write(datum)
    }
}

impl<T: Fixed> HeaderConverter for FixedConverter<T> {
    fn to_connect(&self, _: &str, _: &str, bytes: Option<&Bytes>) -> Result<Datum> {
        self.read(bytes)
    }

    fn to_bytes(&self, _: &str, _: &str, datum: &Datum) -> Result<Option<Bytes>> {
        Self::write(datum)
    }
}

/// True or false, as one byte.
pub(crate) struct OfBoolean;

impl Fixed for OfBoolean {
    const NAME: &'static str = "boolean";
    const TYPE: Type = Type::Boolean;
    const WRONG_SIZE: &'static str = "the bytes are not those of true or false";
    const CHECKS_SCHEMA: bool = true;

    fn refusal(class: &str) -> String {
        format!("BooleanConverter is not compatible with objects of type {class}")
    }

    fn read(bytes: &[u8]) -> Option<Value> {
        match bytes {
            [1] => Some(Value::Boolean(true)),
            [0] => Some(Value::Boolean(false)),
            _ => None,
        }
    }

    fn write(value: &Value) -> Option<Bytes> {
        match value {
            Value::Boolean(value) => Some(Bytes::from_static(if *value { &[1] } else { &[0] })),
            _ => None,
        }
    }
}

macro_rules! fixed {
    ($($of:ident, $number:ty, $variant:ident, $name:literal, $wrong:literal;)*) => {$(
        #[doc = concat!("A ", $name, ".")]
        pub(crate) struct $of;

        impl Fixed for $of {
            const NAME: &'static str = $name;
            const TYPE: Type = Type::$variant;
            const WRONG_SIZE: &'static str = $wrong;

            fn read(bytes: &[u8]) -> Option<Value> {
                let bytes = bytes.try_into().ok()?;
                Some(Value::$variant(<$number>::from_be_bytes(bytes)))
            }

            fn write(value: &Value) -> Option<Bytes> {
                match value {
                    Value::$variant(number) => Some(Bytes::copy_from_slice(&number.to_be_bytes())),
                    _ => None,
                }
            }
        }
    )*};
}

fixed! {
    OfShort, i16, Int16, "short", "the size of the data is not 2";
    OfInteger, i32, Int32, "integer", "the size of the data is not 4";
    OfLong, i64, Int64, "long", "the size of the data is not 8";
    OfFloat, f32, Float32, "float", "the size of the data is not 4";
    OfDouble, f64, Float64, "double", "the size of the data is not 8";
}

macro_rules! register {
    ($($class:literal => $of:ty;)*) => {$(
        connect_core::inventory::submit! {
            ConverterPlugin {
                class: concat!("org.apache.kafka.connect.converters.", $class),
                version: crate::VERSION,
                definition: ConfigDef::default,
                make: Some(|_, _| Ok(Arc::new(FixedConverter::<$of>::new()))),
                make_header: Some(|_| Ok(Arc::new(FixedConverter::<$of>::new()))),
            }
        }
    )*};
}

register! {
    "BooleanConverter" => OfBoolean;
    "ShortConverter" => OfShort;
    "IntegerConverter" => OfInteger;
    "LongConverter" => OfLong;
    "FloatConverter" => OfFloat;
    "DoubleConverter" => OfDouble;
}
