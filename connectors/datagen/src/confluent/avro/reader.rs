//! Reads an Avro schema in JSON into a plan.
//!
//! The Connect schema is the one that Confluent's Avro converter makes of the same Avro schema: optional for a union with null,
//! a struct with a field a branch for other unions, text with the symbols as parameters for enums.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::data::{Schema, Type, Value, logical};
use fastrand::Rng;
use serde_json::{Map, Value as Json};

use super::iteration::Iteration;
use super::literal::literal;
use super::pattern::Pattern;
use super::plan::{
    Booleans, Counter, Decimals, IntegerKind, Middle, Numbers, Plan, RealKind, Shape, Texts,
};
use super::properties::Properties;

/// Parameter that tells a decimal's digits.
const DECIMAL_PRECISION: &str = "connect.decimal.precision";
/// Digits that fit into the numbers decimals are made from.
const MOST_DIGITS: u32 = 37;

pub(super) type Answer<T> = Result<T, String>;
pub(super) type Object = Map<String, Json>;

/// Whether files that a schema names are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// They are read.
    Read,
    /// They are left alone: the plan is only to be checked.
    Ignore,
}

/// The plan that the schema in `text` says, and how many iterations it has.
///
/// # Errors
/// What is wrong with the schema, and in which field.
pub(crate) fn read(text: &str, files: Files) -> Answer<(Plan, usize)> {
    let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut reader = Reader {
        files,
        named: BTreeMap::new(),
        counters: 0,
    };
    let plan = reader.plan(&json, "")?;
    match plan.shape {
        Shape::Record(_) => Ok((plan, reader.counters)),
        _ => Err("the schema must be a record".to_owned()),
    }
}

/// What is known while a schema is read.
pub(super) struct Reader {
    files: Files,
    /// Plans of named types; `None` while one is being read.
    pub(super) named: BTreeMap<String, Option<Plan>>,
    counters: usize,
}

impl Reader {
    pub(super) fn plan(&mut self, json: &Json, namespace: &str) -> Answer<Plan> {
        let nothing = Object::new();
        match json {
            Json::String(name) => self.of_name(name, &nothing, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(schema) => match schema.get("type") {
                Some(Json::String(name)) => self.of_name(name, schema, namespace),
                Some(inner) => self.plan(inner, namespace),
                None => Err(format!("{json} has no type")),
            },
            _ => Err(format!("{json} is no schema")),
        }
    }

    /// A type by its name, with what its object says beside.
    fn of_name(&mut self, name: &str, schema: &Object, namespace: &str) -> Answer<Plan> {
        if matches!(name, "record" | "enum" | "fixed") {
            return self.defined(name, schema, namespace);
        }
        let properties = Properties::of(schema)?;
        let (shape, kind) = match name {
            "boolean" => (self.boolean(properties)?, Type::Boolean),
            "int" | "long" => return self.integer(name, schema, properties),
            "float" => (self.real(RealKind::Float, properties)?, Type::Float32),
            "double" => (self.real(RealKind::Double, properties)?, Type::Float64),
            "string" => (Shape::Text(self.texts(properties)?), Type::String),
            "bytes"
                if schema
                    .get("logicalType")
                    .is_some_and(|name| name == "decimal") =>
            {
                return self.decimal(schema, properties);
            }
            "bytes" => (Shape::Bytes(properties.length()?), Type::Bytes),
            "array" => {
                let items = schema.get("items").ok_or("an array needs items")?;
                let item = self.plan(items, namespace)?;
                let kind = Type::Array(item.schema.clone());
                (Shape::Array(properties.length()?, Box::new(item)), kind)
            }
            "map" => self.map(schema, properties, namespace)?,
            "null" => return Err("null stands in unions only".to_owned()),
            name => return self.reference(name, namespace),
        };
        self.with_options(shape, Schema::new(kind), properties)
    }

    pub(super) fn with_options(
        &self,
        shape: Shape,
        schema: Schema,
        properties: Properties<'_>,
    ) -> Answer<Plan> {
        let schema = Arc::new(schema);
        let options = match properties.get("options") {
            None => Vec::new(),
            Some(given) => self.options(given, &shape, &schema)?,
        };
        Ok(Plan {
            schema,
            shape,
            options,
        })
    }

    fn options(&self, given: &Json, shape: &Shape, schema: &Arc<Schema>) -> Answer<Vec<Value>> {
        let read;
        let given = match given {
            Json::Array(given) => given,
            Json::Object(file) if self.files == Files::Read => {
                read = options_of_file(file)?;
                &read
            }
            Json::Object(_) => return Ok(Vec::new()),
            _ => return Err("options must be an array, or an object with a file".to_owned()),
        };
        if given.is_empty() {
            return Err("options are empty".to_owned());
        }
        let options = given.iter().map(|json| literal(shape, schema, json));
        let options: Answer<_> = options.collect();
        options.map_err(|error| format!("options: {error}"))
    }

    fn counter(&mut self) -> Counter {
        self.counters += 1;
        Counter(self.counters - 1)
    }

    fn boolean(&mut self, properties: Properties<'_>) -> Answer<Shape> {
        if let Some(iteration) = properties.get("iteration") {
            let start = iteration.get("start").and_then(Json::as_bool);
            let start = start.ok_or("iteration of a boolean needs a start of true or false")?;
            return Ok(Shape::Boolean(Booleans::Turns(self.counter(), start)));
        }
        let odds = properties.get("odds").map_or(Some(0.5), Json::as_f64);
        let odds = odds.filter(|odds| (0.0..=1.0).contains(odds));
        let odds = odds.ok_or("odds must be a number from 0 to 1")?;
        Ok(Shape::Boolean(Booleans::Odds(odds)))
    }

    fn integer(&mut self, name: &str, schema: &Object, properties: Properties<'_>) -> Answer<Plan> {
        let logical_type = schema.get("logicalType").and_then(Json::as_str);
        let (kind, shown) = match (name, logical_type) {
            ("int", Some("date")) => (IntegerKind::Date, Some(logical::DATE)),
            ("int", Some("time-millis")) => (IntegerKind::Time, Some(logical::TIME)),
            ("long", Some("timestamp-millis")) => {
                (IntegerKind::Timestamp, Some(logical::TIMESTAMP))
            }
            ("int", _) => (IntegerKind::Int, None),
            _ => (IntegerKind::Long, None),
        };
        let all = kind.type_range();
        let numbers = match properties.get("iteration") {
            Some(given) => {
                let iteration = Iteration::parse(given, all.start, all.end)?;
                Numbers::Iteration(self.counter(), iteration)
            }
            None => Numbers::Range(properties.range(kind.usual_range(), all)?),
        };
        let connect = Schema::new(if name == "int" {
            Type::Int32
        } else {
            Type::Int64
        });
        let connect = match shown {
            Some(shown) => connect.named(shown).version(1),
            None => connect,
        };
        self.with_options(Shape::Integer(kind, numbers), connect, properties)
    }

    fn real(&mut self, kind: RealKind, properties: Properties<'_>) -> Answer<Shape> {
        let all = match kind {
            RealKind::Float => f64::from(f32::MIN)..f64::from(f32::MAX),
            RealKind::Double => f64::MIN..f64::MAX,
        };
        let numbers = match properties.get("iteration") {
            Some(given) => {
                let iteration = Iteration::parse(given, all.start, all.end)?;
                Numbers::Iteration(self.counter(), iteration)
            }
            None => Numbers::Range(properties.range(all.clone(), all)?),
        };
        Ok(Shape::Real(kind, numbers))
    }

    fn decimal(&mut self, schema: &Object, properties: Properties<'_>) -> Answer<Plan> {
        let number = |key: &str| schema.get(key).and_then(Json::as_u64);
        let precision = number("precision").and_then(|precision| u32::try_from(precision).ok());
        let precision = precision.filter(|precision| (1..=MOST_DIGITS).contains(precision));
        let wrong = format!("a decimal needs a precision from 1 to {MOST_DIGITS}");
        let precision = precision.ok_or(wrong)?;
        let scale = number("scale").unwrap_or(0);
        let scale = u32::try_from(scale)
            .ok()
            .filter(|scale| *scale <= precision);
        let scale = scale.ok_or("a decimal's scale must not be more than its precision")?;
        let one = 10_i128.pow(scale);
        let end = 10_i128.pow(precision);
        let range = properties.range(1 - end..end, 1 - end..end)?;
        let unscaled = match properties.get("range") {
            None => range,
            Some(_) => range.start.saturating_mul(one)..range.end.saturating_mul(one),
        };
        if unscaled.start <= -end || unscaled.end > end {
            return Err("range: more digits than the decimal has".to_owned());
        }
        let scale = i32::try_from(scale).unwrap_or_default();
        let mut connect = Schema::new(Type::Bytes).named(logical::DECIMAL).version(1);
        connect
            .parameters
            .insert("scale".to_owned(), scale.to_string());
        connect
            .parameters
            .insert(DECIMAL_PRECISION.to_owned(), precision.to_string());
        self.with_options(
            Shape::Decimal(Decimals { scale, unscaled }),
            connect,
            properties,
        )
    }

    fn texts(&mut self, properties: Properties<'_>) -> Answer<Texts> {
        let middle = if let Some(given) = properties.get("iteration") {
            let all = IntegerKind::Long.type_range();
            Middle::Iteration(self.counter(), Iteration::parse(given, all.start, all.end)?)
        } else if let Some(expression) = properties.get("regex") {
            pattern(expression.as_str().ok_or("regex must be text")?, properties)?
        } else {
            Middle::Characters(properties.length()?)
        };
        Ok(Texts {
            prefix: properties.text("prefix")?.to_owned(),
            middle,
            suffix: properties.text("suffix")?.to_owned(),
        })
    }

    fn map(
        &mut self,
        schema: &Object,
        properties: Properties<'_>,
        namespace: &str,
    ) -> Answer<(Shape, Type)> {
        let values = schema.get("values").ok_or("a map needs values")?;
        let value = self.plan(values, namespace)?;
        let of_keys = match properties.get("keys") {
            Some(keys) => Properties::from_json(keys)?,
            None => Properties::none(),
        };
        let texts = Shape::Text(self.texts(of_keys)?);
        let key = self.with_options(texts, Schema::new(Type::String), of_keys)?;
        let kind = Type::Map(key.schema.clone(), value.schema.clone());
        let shape = Shape::Map(properties.length()?, Box::new(key), Box::new(value));
        Ok((shape, kind))
    }
}

/// A pattern, of which some texts are as long as they must be.
fn pattern(expression: &str, properties: Properties<'_>) -> Answer<Middle> {
    /// Repeats beyond those that must be, where an expression allows any number.
    const MORE: usize = 16;
    const TRIES: u32 = 200;
    let length = properties.pattern_length()?;
    let least = length.as_ref().map_or(0, |length| length.start);
    let more = u32::try_from(least + MORE).unwrap_or(u32::MAX);
    let pattern = Pattern::parse(expression, more)?;
    if let Some(length) = &length {
        let mut rng = Rng::with_seed(0);
        let mut fits = || length.contains(&pattern.sample(&mut rng).chars().count());
        if !(0..TRIES).any(|_| fits()) {
            return Err(format!(
                "regex {expression} makes no texts of length {length:?}"
            ));
        }
    }
    Ok(Middle::Pattern(pattern, length))
}

/// `{"file": …, "encoding": "json"}`: a JSON array in a file.
fn options_of_file(given: &Object) -> Answer<Vec<Json>> {
    let text = |key: &str| given.get(key).and_then(Json::as_str);
    let path = text("file").ok_or("options: file is missing")?;
    if text("encoding") != Some("json") {
        return Err("options: the only encoding of a file is json".to_owned());
    }
    let read = connect_core::named_file::read_text(path);
    let read = read.map_err(|error| format!("options: {path}: {error}"))?;
    serde_json::from_str(&read).map_err(|error| format!("options: {path}: {error}"))
}
