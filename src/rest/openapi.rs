//! `/openapi.json`: the API's description, made from the table of routes.

use axum::Json;
use serde_json::{Map, Value, json};

use super::metrics;
use super::routes::{self, Route};
use crate::runtime::distributed::signature::{ALGORITHM_HEADER, SIGNATURE_HEADER};

pub(super) async fn show() -> Json<Value> {
    Json(document())
}

/// The document, OpenAPI 3.0.3.
fn document() -> Value {
    let mut paths = Map::new();
    for route in routes::all() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(
                route.method.as_str().to_ascii_lowercase(),
                operation(&route),
            );
        }
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Sluice",
            "description": "The REST API of Kafka Connect 4.3.1, and what Sluice adds.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path.map(path_parameter).collect();
    if route.is_between_workers {
        parameters.extend([SIGNATURE_HEADER, ALGORITHM_HEADER].map(header_parameter));
    }
    parameters.extend(route.query.iter().map(|(name, text)| {
        json!({ "name": name, "in": "query", "description": text, "schema": { "type": "string" } })
    }));
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses(route),
    });
    if let (Some(schema), Some(operation)) = (route.body, operation.as_object_mut()) {
        let media = fields([
            ("schema", reference(schema)),
            ("example", example_of(schema)),
        ]);
        let content = fields([("application/json", media)]);
        let body = fields([
            ("required", (!route.body_may_miss).into()),
            ("content", content),
        ]);
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

fn responses(route: &Route) -> Map<String, Value> {
    let answers = route.answers.iter();
    let mut responses: Map<String, Value> = answers
        .map(|(status, schema)| (status.to_string(), answer(route, *schema)))
        .collect();
    // A path that is none, a method, a type, a body or a length that is not taken, and Kafka Connect's status for a body
    // that cannot be read.
    let general: &[u16] = if route.is_json {
        &[400, 404, 406, 413, 415, 500]
    } else {
        &[400]
    };
    for status in route.refusals.iter().chain(general) {
        let refusal = || json!({ "description": "Refused", "content": content("Error") });
        responses.entry(status.to_string()).or_insert_with(refusal);
    }
    let not_let_in = json!({
        "description": "Not let in",
        "content": { "text/plain": { "schema": { "type": "string" } } },
    });
    responses.insert("401".to_owned(), not_let_in);
    responses
}

/// Examples of what stands in paths; they fit together with that of a create.
const EXAMPLES: [(&str, &str); 4] = [
    ("connector", "lines"),
    ("task", "0"),
    ("plugin", "FileStreamSource"),
    ("logger", "root"),
];

fn path_parameter(name: &str) -> Value {
    let example = EXAMPLES.iter().find(|(known, _)| *known == name);
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "schema": { "type": "string" },
        "example": example.map_or("", |(_, example)| example),
    })
}

/// Only workers can make these, and not all groups ask for them.
fn header_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "header", "required": false, "schema": { "type": "string" } })
}

/// A configuration that can be deployed anywhere.
fn example_config() -> Value {
    json!({ "connector.class": "FileStreamSource", "file": "lines.txt", "topic": "lines" })
}

fn answer(route: &Route, schema: Option<&str>) -> Value {
    match schema {
        None => json!({ "description": "Done" }),
        Some(schema) if route.is_json => {
            json!({ "description": "Done", "content": content(schema) })
        }
        Some(_) => json!({
            "description": "Done",
            "content": {
                (metrics::PLAIN): { "schema": { "type": "string" } },
                (metrics::OPEN_METRICS): { "schema": { "type": "string" } },
            },
        }),
    }
}

/// An example of a body.
fn example_of(schema: &str) -> Value {
    match schema {
        "Config" => example_config(),
        "Configs" => json!([example_config()]),
        "CreateRequest" => {
            json!({ "name": "lines", "config": example_config(), "initial_state": "STOPPED" })
        }
        "ConnectorOffsets" => json!({ "offsets": [
            { "partition": { "filename": "lines.txt" }, "offset": { "position": 0 } },
        ] }),
        "NewLevel" => json!({ "level": "DEBUG" }),
        _ => json!({}),
    }
}

fn content(schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "application/json": { "schema": schema } })
}

/// An object of JSON with these fields.
fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    Value::Object(fields.into_iter().collect())
}

fn object(required: &[&str], properties: Value) -> Value {
    fields([
        ("type", "object".into()),
        ("required", json!(required)),
        ("properties", properties),
    ])
}

fn list_of(schema: &str) -> Value {
    json!({ "type": "array", "items": reference(schema) })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn or_null(mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("nullable".to_owned(), true.into());
    }
    schema
}

fn number() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

fn map_of(schema: Value) -> Value {
    fields([("type", "object".into()), ("additionalProperties", schema)])
}

fn one_of(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

fn schemas() -> Value {
    let groups = [
        shapes_of_worker(),
        shapes_of_connectors(),
        shapes_of_plugins(),
        shapes_of_dry_runs(),
    ];
    let all = groups.into_iter().flatten();
    Value::Object(
        all.map(|(name, schema)| (name.to_owned(), schema))
            .collect(),
    )
}

type Shapes = Vec<(&'static str, Value)>;

fn shapes_of_worker() -> Shapes {
    let level = object(
        &["level", "last_modified"],
        json!({ "level": text(), "last_modified": or_null(number()) }),
    );
    vec![
        ("Anything", json!({ "type": "object" })),
        ("Metrics", text()),
        ("Names", json!({ "type": "array", "items": text() })),
        (
            "Message",
            object(&["message"], json!({ "message": text() })),
        ),
        (
            "Error",
            object(
                &["error_code", "message"],
                json!({ "error_code": number(), "message": or_null(text()) }),
            ),
        ),
        (
            "ServerInfo",
            object(
                &["version", "commit", "kafka_cluster_id"],
                json!({ "version": text(), "commit": text(), "kafka_cluster_id": text() }),
            ),
        ),
        (
            "Health",
            object(
                &["status", "message"],
                json!({ "status": one_of(&["healthy", "starting", "unhealthy"]), "message": text() }),
            ),
        ),
        ("LoggerLevel", level),
        ("Loggers", map_of(reference("LoggerLevel"))),
        (
            "NewLevel",
            object(
                &["level"],
                json!({ "level": one_of(&["OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL"]) }),
            ),
        ),
    ]
}

fn shapes_of_connectors() -> Shapes {
    let kind = || one_of(&["source", "sink", "unknown"]);
    let states = || {
        one_of(&[
            "UNASSIGNED",
            "RUNNING",
            "PAUSED",
            "STOPPED",
            "FAILED",
            "RESTARTING",
        ])
    };
    let name = object(
        &["connector", "task"],
        json!({ "connector": text(), "task": number() }),
    );
    let state = json!({ "state": states(), "worker_id": text(), "version": or_null(text()), "trace": text() });
    let mut task = json!({ "id": number(), "sluice": { "type": "object" } });
    if let (Some(task), Some(state)) = (task.as_object_mut(), state.as_object()) {
        task.extend(state.clone());
    }
    let any_fields = || or_null(json!({ "type": "object" }));
    vec![
        ("Config", map_of(or_null(text()))),
        ("Configs", list_of("Config")),
        (
            "CreateRequest",
            object(
                &["name", "config"],
                json!({ "name": text(), "config": reference("Config"), "initial_state": one_of(&["RUNNING", "PAUSED", "STOPPED"]) }),
            ),
        ),
        ("TaskName", name),
        (
            "ConnectorInfo",
            object(
                &["name", "config", "tasks", "type"],
                json!({ "name": text(), "config": reference("Config"), "tasks": list_of("TaskName"), "type": kind() }),
            ),
        ),
        ("TaskState", object(&["id", "state", "worker_id"], task)),
        (
            "ConnectorStateInfo",
            object(
                &["name", "connector", "tasks", "type"],
                json!({ "name": text(), "connector": object(&["state", "worker_id"], state), "tasks": list_of("TaskState"), "type": kind() }),
            ),
        ),
        (
            "Connectors",
            json!({ "oneOf": [reference("Names"), map_of(json!({
                "type": "object",
                "properties": { "status": reference("ConnectorStateInfo"), "info": reference("ConnectorInfo") },
            }))] }),
        ),
        (
            "Tasks",
            json!({ "type": "array", "items": object(&["id", "config"], json!({ "id": reference("TaskName"), "config": reference("Config") })) }),
        ),
        (
            "Topics",
            map_of(object(&["topics"], json!({ "topics": reference("Names") }))),
        ),
        (
            "ConnectorOffsets",
            object(
                &["offsets"],
                json!({ "offsets": { "type": "array", "items": object(&[], json!({ "partition": any_fields(), "offset": any_fields() })) } }),
            ),
        ),
    ]
}

fn shapes_of_plugins() -> Shapes {
    let plugin = object(
        &["class", "type"],
        json!({ "class": text(), "type": text(), "version": text() }),
    );
    let key = json!({
        "name": text(), "type": text(), "required": { "type": "boolean" }, "default_value": or_null(text()),
        "importance": text(), "documentation": text(), "group": or_null(text()), "order_in_group": number(),
        "width": text(), "display_name": text(), "dependents": reference("Names"),
    });
    let value = json!({
        "name": text(), "value": or_null(text()), "recommended_values": reference("Names"),
        "errors": reference("Names"), "visible": { "type": "boolean" },
    });
    let info = json!({
        "definition": { "allOf": [reference("ConfigKey")], "nullable": true },
        "value": object(&["name", "value", "errors"], value),
    });
    vec![
        ("Plugins", json!({ "type": "array", "items": plugin })),
        (
            "ConfigKey",
            object(&["name", "type", "required", "importance"], key),
        ),
        ("ConfigKeys", list_of("ConfigKey")),
        (
            "ConfigInfos",
            object(
                &["name", "error_count", "groups", "configs"],
                json!({ "name": text(), "error_count": number(), "groups": reference("Names"), "configs": { "type": "array", "items": object(&["value"], info) } }),
            ),
        ),
    ]
}

fn shapes_of_dry_runs() -> Shapes {
    let yes_or_no = || json!({ "type": "boolean" });
    let place = json!({ "topic": text(), "partition": number(), "from": number(), "to": number(), "end": number() });
    let shown = json!({ "form": one_of(&["null", "text", "base64"]), "content": text(), "size": number(), "truncated": yes_or_no() });
    let header = json!({ "key": text(), "value": reference("Shown") });
    let stored = json!({ "key": reference("Shown"), "value": reference("Shown") });
    let record = json!({
        "topic": text(), "partition": number(), "key": reference("Shown"), "value": reference("Shown"),
        "headers": { "type": "array", "items": object(&["key", "value"], header) },
        "stored": object(&["key", "value"], stored),
    });
    let outcomes = [
        "passed",
        "dropped",
        "skipped",
        "dead-letter",
        "fails-task",
        "retried",
        "not-reached",
    ];
    let error = json!({ "stage": text(), "class": text(), "trace": text() });
    let passed = json!({
        "topic": text(), "partition": number(), "offset": number(), "timestamp": or_null(number()),
        "source_partition": { "type": "object" }, "source_offset": { "type": "object" },
        "outcome": one_of(&outcomes), "error": object(&["stage", "class", "trace"], error),
        "input": reference("ShownRecord"), "output": list_of("ShownRecord"),
    });
    let effect = json!({
        "effect": one_of(&["file", "statement", "rows"]), "kind": text(), "path": text(), "records": number(),
        "size": number(), "compression": or_null(text()), "complete": yes_or_no(), "reason": text(),
        "content": reference("Shown"), "target": text(), "sql": text(), "table": text(), "action": text(),
        "columns": { "type": "array", "items": object(&["name", "type"], json!({ "name": text(), "type": text() })) },
        "rows": { "type": "array", "items": { "type": "array", "items": or_null(text()) } },
        "truncated": yes_or_no(),
    });
    let report = json!({
        "name": text(), "connector.class": text(), "type": one_of(&["source", "sink"]), "ended": text(),
        "positions": { "type": "array", "items": object(&["topic", "partition", "from", "to", "end"], place) },
        "failure": or_null(text()), "notes": reference("Names"),
        "records": { "type": "array", "items": object(&["outcome", "output"], passed) },
        "effects": { "type": "array", "items": object(&["effect"], effect) },
    });
    let required = [
        "name",
        "connector.class",
        "type",
        "ended",
        "failure",
        "notes",
        "records",
        "effects",
    ];
    vec![
        (
            "Shown",
            object(&["form", "content", "size", "truncated"], shown),
        ),
        (
            "ShownRecord",
            object(&["topic", "key", "value", "headers"], record),
        ),
        ("DryRunReport", object(&required, report)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` of a document.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(
                    fields
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_with_schemas_that_are_there() {
        let document = document();
        for route in routes::all() {
            let pointer = format!(
                "/paths/{}/{}",
                route.path.replace('/', "~1"),
                route.method.as_str().to_ascii_lowercase()
            );
            let operation = document.pointer(&pointer);
            assert!(operation.is_some(), "{pointer}");
            assert!(!route.answers.is_empty(), "{pointer} says what it answers");
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
