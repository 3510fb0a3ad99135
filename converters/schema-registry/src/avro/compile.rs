//! An Avro schema compiled into a [`Plan`].

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::data::{Field, Schema, Type, Value, logical};
use connect_core::{Error, Result};
use serde_json::{Map, Value as Json};

use super::names::{Names, PRIMITIVES, collect, full_name, qualified};
use super::plan::{
    DEFAULT_NAME, DEFAULT_PRECISION, ENUM, FIXED_SIZE, INTERNAL_TYPE, Layout, MAP_ENTRY, NAMESPACE,
    Null, PRECISION, Plan, UNION,
};
use super::{AvroOptions, defaults, invalid};
use crate::format::MOST_LEVELS;
use crate::registry::Resolved;

/// A schema has at most this many places: names that are used again and again could make it far larger than its text.
const MOST_PLACES: usize = 100_000;

/// Compiles a schema of the registry.
pub(super) fn compile(schema: &Resolved, options: &AvroOptions) -> Result<Plan> {
    let texts = schema.imports.iter().map(|(_, text)| text);
    let parsed: Vec<Json> = texts.map(|text| parse(text)).collect::<Result<_>>()?;
    let root = parse(&schema.text)?;
    let mut names = Names::new();
    for json in parsed.iter().chain([&root]) {
        collect(json, "", &mut names)?;
    }
    let mut compiler = Compiler {
        names,
        options,
        building: Vec::new(),
        places: 0,
        levels: 0,
    };
    compiler.place(&root, "", Around::default())
}

fn parse(text: &str) -> Result<Json> {
    // A schema that is just a name need not be quoted.
    let json = serde_json::from_str(text);
    match json {
        Ok(json) => Ok(json),
        Err(_) if PRIMITIVES.contains(&text.trim()) => Ok(Json::from(text.trim())),
        Err(cause) => Err(invalid("it is not JSON").source(cause)),
    }
}

/// What a field says about its type.
#[derive(Debug, Clone, Copy, Default)]
struct Around<'a> {
    doc: Option<&'a str>,
    default: Option<&'a Json>,
}

struct Compiler<'a> {
    names: Names<'a>,
    options: &'a AvroOptions,
    /// Records that are being compiled: one that holds itself has no end.
    building: Vec<String>,
    places: usize,
    levels: usize,
}

impl<'a> Compiler<'a> {
    fn place(&mut self, json: &'a Json, namespace: &str, around: Around<'a>) -> Result<Plan> {
        self.places += 1;
        self.levels += 1;
        if self.places > MOST_PLACES || self.levels > MOST_LEVELS {
            return Err(invalid("it has too many places, or is too deep"));
        }
        let plan = self.place_of(json, namespace, around);
        self.levels -= 1;
        plan
    }

    fn place_of(&mut self, json: &'a Json, namespace: &str, around: Around<'a>) -> Result<Plan> {
        match json {
            Json::String(name) if PRIMITIVES.contains(&name.as_str()) => {
                self.primitive(name, &Map::new(), around)
            }
            Json::String(name) => self.named(&qualified(name, namespace), around),
            Json::Array(branches) => self.union(branches, namespace, around),
            Json::Object(definition) => self.definition(definition, namespace, around),
            _ => Err(invalid("a type is neither a name, a list nor an object")),
        }
    }

    fn named(&mut self, name: &str, around: Around<'a>) -> Result<Plan> {
        // A name without a namespace may be meant outside of the one it is used in.
        let simple = name.rsplit('.').next().unwrap_or(name);
        let found = self.names.get(name).or_else(|| self.names.get(simple));
        let (definition, namespace) = found
            .cloned()
            .ok_or_else(|| invalid(format!("nothing is called {name}")))?;
        self.definition_named(definition, name, &namespace, around)
    }

    fn definition(
        &mut self,
        definition: &'a Map<String, Json>,
        namespace: &str,
        around: Around<'a>,
    ) -> Result<Plan> {
        match definition.get("type") {
            Some(Json::String(kind)) => match kind.as_str() {
                "record" | "error" | "enum" | "fixed" => {
                    let (name, inside) = full_name(definition, namespace)?;
                    self.definition_named(definition, &name, &inside, around)
                }
                "array" => self.array(definition, namespace, around),
                "map" => {
                    let values = part(definition, "values")?;
                    let values = self.place(values, namespace, Around::default())?;
                    let keys = Arc::new(Schema::new(Type::String));
                    let kind = Type::Map(keys, values.schema.clone());
                    finish(
                        Schema::new(kind),
                        Layout::Map(Box::new(values)),
                        definition,
                        around,
                    )
                }
                kind if PRIMITIVES.contains(&kind) => self.primitive(kind, definition, around),
                name => self.named(&qualified(name, namespace), around),
            },
            Some(nested) => self.place(nested, namespace, around),
            None => Err(invalid("an object without a type")),
        }
    }

    fn definition_named(
        &mut self,
        definition: &'a Map<String, Json>,
        name: &str,
        namespace: &str,
        around: Around<'a>,
    ) -> Result<Plan> {
        if self.building.iter().any(|known| known == name) {
            return Err(Error::data(format!(
                "the record {name} holds itself: Connect has no such schemas"
            )));
        }
        match definition.get("type").and_then(Json::as_str) {
            Some("enum") => enumeration(definition, name, around),
            Some("fixed") => fixed(definition, name, around),
            _ => {
                self.building.push(name.to_owned());
                let plan = self.record(definition, name, namespace, around);
                self.building.pop();
                plan
            }
        }
    }

    fn record(
        &mut self,
        definition: &'a Map<String, Json>,
        name: &str,
        namespace: &str,
        around: Around<'a>,
    ) -> Result<Plan> {
        let listed = definition.get("fields").and_then(Json::as_array);
        let listed = listed.ok_or_else(|| invalid(format!("record {name} has no fields")))?;
        let (mut fields, mut plans) = (Vec::new(), Vec::new());
        for field in listed {
            let field_name = field.get("name").and_then(Json::as_str);
            let field_name = field_name.ok_or_else(|| invalid("a field without a name"))?;
            let kind = field
                .get("type")
                .ok_or_else(|| invalid("a field without a type"))?;
            let around = Around {
                doc: field.get("doc").and_then(Json::as_str),
                default: field.get("default"),
            };
            let plan = self.place(kind, namespace, around)?;
            fields.push(Field {
                name: field_name.into(),
                schema: plan.schema.clone(),
            });
            plans.push(plan);
        }
        let mut schema = Schema::new(Type::Struct(fields));
        schema.name = connect_name(definition, name);
        finish(schema, Layout::Record(plans), definition, around)
    }

    fn array(
        &mut self,
        definition: &'a Map<String, Json>,
        namespace: &str,
        around: Around<'a>,
    ) -> Result<Plan> {
        let items = part(definition, "items")?;
        let is_entry = match items {
            Json::Object(items) => is_map_entry(items, namespace),
            Json::String(name) => {
                let definition = self.names.get(&qualified(name, namespace));
                definition.is_some_and(|(items, namespace)| is_map_entry(items, namespace))
            }
            _ => false,
        };
        let plan = self.place(items, namespace, Around::default())?;
        let item_name = plan.schema.name.clone();
        match (plan.layout, is_entry) {
            (Layout::Record(fields), true) => {
                let [keys, values] = <[Plan; 2]>::try_from(fields)
                    .map_err(|_| invalid("a map's entry needs a key and a value"))?;
                let kind = Type::Map(keys.schema.clone(), values.schema.clone());
                let mut schema = Schema::new(kind);
                schema.name = item_name;
                let layout = Layout::Pairs(Box::new(keys), Box::new(values));
                finish(schema, layout, definition, around)
            }
            (layout, _) => {
                let items = Plan { layout, ..plan };
                let schema = Schema::new(Type::Array(items.schema.clone()));
                finish(schema, Layout::Array(Box::new(items)), definition, around)
            }
        }
    }

    fn primitive(
        &mut self,
        kind: &str,
        definition: &Map<String, Json>,
        around: Around<'_>,
    ) -> Result<Plan> {
        let text = |key: &str| definition.get(key).and_then(Json::as_str);
        let logical_type = text("logicalType").unwrap_or_default();
        let logical = |kind, name: &str, layout| (Schema::new(kind).named(name).version(1), layout);
        let plain = |kind, layout| (Schema::new(kind), layout);
        let (schema, layout) = match (kind, logical_type, text("connect.type")) {
            ("int", "date", _) => logical(Type::Int32, logical::DATE, Layout::Date),
            ("int", "time-millis", _) => logical(Type::Int32, logical::TIME, Layout::Time),
            ("long", "timestamp-millis", _) => {
                logical(Type::Int64, logical::TIMESTAMP, Layout::Timestamp)
            }
            ("bytes", "decimal", _) => decimal(definition, None)?,
            ("int", _, Some("int8")) => plain(Type::Int8, Layout::Int8),
            ("int", _, Some("int16")) => plain(Type::Int16, Layout::Int16),
            ("boolean", ..) => plain(Type::Boolean, Layout::Boolean),
            ("int", ..) => plain(Type::Int32, Layout::Int32),
            ("long", ..) => plain(Type::Int64, Layout::Int64),
            ("float", ..) => plain(Type::Float32, Layout::Float),
            ("double", ..) => plain(Type::Float64, Layout::Double),
            ("bytes", ..) => plain(Type::Bytes, Layout::Bytes),
            ("string", ..) => plain(Type::String, Layout::String),
            _ => {
                return Err(Error::data(
                    "a schema that is only null has no counterpart in Connect",
                ));
            }
        };
        finish(schema, layout, definition, around)
    }

    fn union(&mut self, branches: &'a [Json], namespace: &str, around: Around<'a>) -> Result<Plan> {
        let others: Vec<_> = branches.iter().filter(|branch| !is_null(branch)).collect();
        let null = branches.iter().position(is_null);
        match (others.as_slice(), null) {
            ([one], Some(position)) if branches.len() == 2 => {
                let around = Around {
                    default: around.default.filter(|default| !default.is_null()),
                    ..around
                };
                let mut plan = self.place(one, namespace, around)?;
                plan.null = if position == 0 {
                    Null::First
                } else {
                    Null::Second
                };
                Arc::make_mut(&mut plan.schema).optional = true;
                Ok(plan)
            }
            ([one], None) if self.options.flatten_singletons => {
                let mut plan = self.place(one, namespace, around)?;
                plan.null = Null::Alone;
                Ok(plan)
            }
            _ => self.several(branches, null.is_some(), namespace, around),
        }
    }

    /// A union of several types: a struct with an optional field for each.
    fn several(
        &mut self,
        branches: &'a [Json],
        has_null: bool,
        namespace: &str,
        around: Around<'a>,
    ) -> Result<Plan> {
        let (mut fields, mut layout) = (Vec::new(), Vec::new());
        for branch in branches {
            if is_null(branch) {
                layout.push(None);
                continue;
            }
            let mut plan = self.place(branch, namespace, Around::default())?;
            Arc::make_mut(&mut plan.schema).optional = true;
            fields.push(Field {
                name: self.branch_name(branch, namespace)?.into(),
                schema: plan.schema.clone(),
            });
            layout.push(Some(plan));
        }
        let mut schema = Schema::new(Type::Struct(fields)).named(UNION);
        schema.optional = has_null;
        let around = Around {
            default: around.default.filter(|default| !default.is_null()),
            ..around
        };
        finish(schema, Layout::Union(layout), &Map::new(), around)
    }

    /// What the field for a branch is called: by its type, those with names by their name.
    fn branch_name(&self, branch: &Json, namespace: &str) -> Result<String> {
        let kind = match branch {
            Json::Object(definition) => definition.get("type").and_then(Json::as_str),
            other => other.as_str(),
        };
        let kind = kind.ok_or_else(|| invalid("a union in a union"))?;
        let full = match branch {
            Json::Object(definition) if ["record", "error", "enum", "fixed"].contains(&kind) => {
                full_name(definition, namespace)?.0
            }
            _ if PRIMITIVES.contains(&kind) || ["array", "map"].contains(&kind) => {
                return Ok(kind.to_owned());
            }
            _ => qualified(kind, namespace),
        };
        let simple = full.rsplit('.').next().unwrap_or(&full).to_owned();
        Ok(if self.options.enhanced { full } else { simple })
    }
}

fn is_null(branch: &Json) -> bool {
    branch == "null" || branch.get("type").is_some_and(|kind| kind == "null")
}

fn part<'a>(definition: &'a Map<String, Json>, key: &str) -> Result<&'a Json> {
    definition
        .get(key)
        .ok_or_else(|| invalid(format!("a type without its {key}")))
}

/// The name that Connect gave a type, or Avro's; none where Connect had none.
fn connect_name(definition: &Map<String, Json>, name: &str) -> Option<Arc<str>> {
    let given = definition.get("connect.name").and_then(Json::as_str);
    match given {
        Some(given) => Some(given.into()),
        None if is_made_up(name) => None,
        None => Some(name.into()),
    }
}

/// True for the names that the converter gives what has none: with a number from the second on.
fn is_made_up(name: &str) -> bool {
    let simple = name
        .strip_prefix(NAMESPACE)
        .and_then(|rest| rest.strip_prefix('.'));
    let number = |simple: &str| {
        let number = simple
            .strip_prefix(DEFAULT_NAME)
            .or_else(|| simple.strip_prefix(MAP_ENTRY));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    simple.is_some_and(number)
}

fn is_map_entry(items: &Map<String, Json>, namespace: &str) -> bool {
    let is_named = full_name(items, namespace)
        .is_ok_and(|(name, _)| name == format!("{NAMESPACE}.{MAP_ENTRY}"));
    let is_marked = items
        .get(INTERNAL_TYPE)
        .is_some_and(|kind| kind == MAP_ENTRY);
    items.get("type").is_some_and(|kind| kind == "record") && (is_named || is_marked)
}

fn enumeration(definition: &Map<String, Json>, name: &str, around: Around<'_>) -> Result<Plan> {
    let listed = definition.get("symbols").and_then(Json::as_array);
    let listed = listed.ok_or_else(|| invalid(format!("enum {name} has no symbols")))?;
    let symbols: Vec<Arc<str>> = listed
        .iter()
        .filter_map(Json::as_str)
        .map(Arc::from)
        .collect();
    let mut schema = Schema::new(Type::String);
    schema.name = connect_name(definition, name);
    schema.parameters.insert(ENUM.to_owned(), name.to_owned());
    for symbol in &symbols {
        schema
            .parameters
            .insert(format!("{ENUM}.{symbol}"), symbol.to_string());
    }
    finish(schema, Layout::Enum(symbols), definition, around)
}

fn fixed(definition: &Map<String, Json>, name: &str, around: Around<'_>) -> Result<Plan> {
    let size = definition.get("size").and_then(Json::as_u64);
    let size = size
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| invalid(format!("fixed {name} has no size")))?;
    if definition
        .get("logicalType")
        .is_some_and(|kind| kind == "decimal")
    {
        let (schema, layout) = decimal(definition, Some(size))?;
        return finish(schema, layout, definition, around);
    }
    let mut schema = Schema::new(Type::Bytes);
    schema.name = connect_name(definition, name);
    schema
        .parameters
        .insert(FIXED_SIZE.to_owned(), size.to_string());
    finish(schema, Layout::Fixed(size), definition, around)
}

fn decimal(definition: &Map<String, Json>, fixed: Option<usize>) -> Result<(Schema, Layout)> {
    let number = |key: &str| definition.get(key).and_then(Json::as_i64);
    let scale = i32::try_from(number("scale").unwrap_or(0));
    let scale = scale.map_err(|_| invalid("the scale of a decimal"))?;
    let mut schema = Schema::new(Type::Bytes).named(logical::DECIMAL).version(1);
    schema
        .parameters
        .insert("scale".to_owned(), scale.to_string());
    if let Some(precision) = number("precision").filter(|digits| *digits != DEFAULT_PRECISION) {
        schema
            .parameters
            .insert(PRECISION.to_owned(), precision.to_string());
    }
    Ok((schema, Layout::Decimal(scale, fixed)))
}

/// Adds what Connect has said about the schema.
fn finish(
    mut schema: Schema,
    layout: Layout,
    definition: &Map<String, Json>,
    around: Around<'_>,
) -> Result<Plan> {
    let text = |key: &str| definition.get(key).and_then(Json::as_str);
    if let Some(name) = text("connect.name") {
        schema.name = Some(name.into());
    }
    if let Some(version) = definition.get("connect.version").and_then(Json::as_i64) {
        schema.version = i32::try_from(version).ok();
    }
    // Avro's own hints for other languages are kept too.
    for (key, value) in definition
        .iter()
        .filter(|(key, _)| key.starts_with("avro."))
    {
        if let Some(value) = value.as_str() {
            schema.parameters.insert(key.clone(), value.to_owned());
        }
    }
    if let Some(Json::Object(parameters)) = definition.get("connect.parameters") {
        let texts = parameters
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        schema.parameters.extend(texts.collect::<BTreeMap<_, _>>());
    }
    let doc = around
        .doc
        .or_else(|| text("doc"))
        .or_else(|| text("connect.doc"));
    schema.doc = doc.map(Into::into);
    let mut plan = Plan {
        schema: Arc::new(schema),
        layout,
        null: Null::Never,
    };
    let given = |default: &&Json| !default.is_null();
    let property = definition.get("connect.default").filter(given);
    let default: Option<Value> = match (around.default.filter(given), property) {
        (Some(default), _) => Some(defaults::from_json(&plan, default)?),
        (None, Some(default)) => Some(defaults::from_property(&plan, default)?),
        (None, None) => None,
    };
    Arc::make_mut(&mut plan.schema).default = default;
    Ok(plan)
}
