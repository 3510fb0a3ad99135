//! The types that are made of others, and those that have names: records, enums, fixed types, unions.

use std::sync::Arc;

use connect_core::data::{Field, Schema, Type, Value};
use serde_json::Value as Json;

use super::literal::default_value;
use super::plan::{Plan, Shape};
use super::properties::{LONGEST, Properties};
use super::reader::{Answer, Object, Reader};

/// The struct that stands for a union.
const UNION: &str = "io.confluent.connect.avro.Union";
/// Parameters that tell an enum's name and symbols.
const ENUM: &str = "io.confluent.connect.avro.Enum";
/// Parameter that tells a fixed type's size.
const FIXED_SIZE: &str = "connect.fixed.size";

impl Reader {
    pub(super) fn union(&mut self, branches: &[Json], namespace: &str) -> Answer<Plan> {
        let mut plans = Vec::with_capacity(branches.len());
        for branch in branches {
            let is_null = branch == "null" || branch.get("type").is_some_and(|name| name == "null");
            plans.push(if is_null {
                None
            } else {
                Some(self.plan(branch, namespace)?)
            });
        }
        let has_null = plans.iter().any(Option::is_none);
        if plans.iter().flatten().count() == 1 {
            let only = plans
                .into_iter()
                .flatten()
                .next()
                .ok_or("a union needs a type")?;
            return Ok(if has_null { nullable(only) } else { only });
        }
        let mut fields = Vec::with_capacity(plans.len());
        for plan in plans.iter_mut().flatten() {
            plan.set_schema(plan.schema.as_ref().clone().optional());
            fields.push(Field {
                name: branch_name(&plan.schema),
                schema: plan.schema.clone(),
            });
        }
        if fields.is_empty() {
            return Err("a union needs a type beside null".to_owned());
        }
        let mut schema = Schema::new(Type::Struct(fields)).named(UNION);
        schema.optional = has_null;
        self.with_options(Shape::Union(plans), schema, Properties::none())
    }

    pub(super) fn reference(&self, name: &str, namespace: &str) -> Answer<Plan> {
        match self
            .named
            .get(&full_name(name, namespace))
            .or_else(|| self.named.get(name))
        {
            Some(Some(plan)) => Ok(plan.clone()),
            Some(None) => Err(format!(
                "{name} holds itself: its records would have no end"
            )),
            None => Err(format!("{name} is no type")),
        }
    }

    /// A record, an enum or a fixed type, known by its name from now on.
    pub(super) fn defined(&mut self, kind: &str, schema: &Object, namespace: &str) -> Answer<Plan> {
        let name = schema.get("name").and_then(Json::as_str);
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| format!("{kind}: a name is missing"))?;
        let own = schema.get("namespace").and_then(Json::as_str);
        let full = full_name(name, own.unwrap_or(namespace));
        if self.named.insert(full.clone(), None).is_some() {
            return Err(format!("{full} is defined twice"));
        }
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        let (shape, mut connect) = match kind {
            "record" => self.record(schema, namespace)?,
            "enum" => enumeration(schema, &full)?,
            _ => fixed(schema)?,
        };
        connect.doc = schema.get("doc").and_then(Json::as_str).map(Into::into);
        let plan = self.with_options(shape, connect.named(full.as_str()), Properties::of(schema)?);
        let plan = plan.map_err(|error| format!("{full}: {error}"))?;
        self.named.insert(full, Some(plan.clone()));
        Ok(plan)
    }

    fn record(&mut self, schema: &Object, namespace: &str) -> Answer<(Shape, Schema)> {
        let given = schema.get("fields").and_then(Json::as_array);
        let given = given.ok_or("a record needs fields")?;
        let (mut plans, mut fields) = (Vec::new(), Vec::<Field>::new());
        for field in given {
            let name = field.get("name").and_then(Json::as_str);
            let name = name.ok_or_else(|| format!("{field}: a field needs a name"))?;
            if fields.iter().any(|known| &*known.name == name) {
                return Err(format!("{name}: there are two fields of this name"));
            }
            let plan = self
                .field(field, namespace)
                .map_err(|error| format!("{name}: {error}"))?;
            fields.push(Field {
                name: name.into(),
                schema: plan.schema.clone(),
            });
            plans.push(plan);
        }
        Ok((Shape::Record(plans), Schema::new(Type::Struct(fields))))
    }

    fn field(&mut self, field: &Json, namespace: &str) -> Answer<Plan> {
        let kind = field.get("type").ok_or("a type is missing")?;
        let mut plan = self.plan(kind, namespace)?;
        let doc = field.get("doc").and_then(Json::as_str);
        let default = field.get("default").filter(|default| !default.is_null());
        if doc.is_none() && default.is_none() {
            return Ok(plan);
        }
        let mut schema = plan.schema.as_ref().clone();
        schema.doc = doc.map(Into::into).or(schema.doc);
        if let Some(default) = default {
            let value = default_value(&plan.shape, &plan.schema, default);
            schema.default = Some(value.map_err(|error| format!("default: {error}"))?);
        }
        plan.set_schema(schema);
        Ok(plan)
    }
}

impl Plan {
    /// Changes the schema, also that of the structs among the options.
    fn set_schema(&mut self, schema: Schema) {
        self.schema = Arc::new(schema);
        for option in &mut self.options {
            if let Value::Struct(option) = option {
                option.schema = self.schema.clone();
            }
        }
        if let Shape::Nullable(inner) = &mut self.shape {
            inner.set_schema(self.schema.as_ref().clone());
        }
    }
}

fn nullable(mut plan: Plan) -> Plan {
    plan.set_schema(plan.schema.as_ref().clone().optional());
    Plan {
        schema: plan.schema.clone(),
        shape: Shape::Nullable(Box::new(plan)),
        options: Vec::new(),
    }
}

/// A branch's field: a named type's own name, a primitive type's.
fn branch_name(schema: &Schema) -> Arc<str> {
    let is_primitive = |name: &&Arc<str>| !name.starts_with("org.apache.kafka.connect.data.");
    if let Some(name) = schema.name.as_ref().filter(is_primitive) {
        return name.rsplit('.').next().unwrap_or(name).into();
    }
    match &schema.kind {
        Type::Boolean => "boolean",
        Type::Int32 => "int",
        Type::Int64 => "long",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array(_) => "array",
        _ => "map",
    }
    .into()
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn enumeration(schema: &Object, full: &str) -> Answer<(Shape, Schema)> {
    let symbols = schema.get("symbols").and_then(Json::as_array);
    let symbols: Option<Vec<Arc<str>>> = symbols
        .into_iter()
        .flatten()
        .map(|symbol| symbol.as_str().map(Into::into))
        .collect();
    let symbols = symbols.filter(|symbols| !symbols.is_empty());
    let symbols = symbols.ok_or("an enum needs symbols")?;
    let mut connect = Schema::new(Type::String);
    connect.parameters.insert(ENUM.to_owned(), full.to_owned());
    for symbol in &symbols {
        let key = format!("{ENUM}.{symbol}");
        connect.parameters.insert(key, symbol.as_ref().to_owned());
    }
    Ok((Shape::Enum(symbols), connect))
}

fn fixed(schema: &Object) -> Answer<(Shape, Schema)> {
    let size = schema.get("size").and_then(Json::as_u64);
    let size = size.and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size <= LONGEST);
    let size = size.ok_or_else(|| format!("a fixed type needs a size up to {LONGEST}"))?;
    let mut connect = Schema::new(Type::Bytes);
    connect
        .parameters
        .insert(FIXED_SIZE.to_owned(), size.to_string());
    Ok((Shape::Fixed(size), connect))
}
