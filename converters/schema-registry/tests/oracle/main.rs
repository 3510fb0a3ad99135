//! The Avro converter beside one of the same lineage as Confluent's: Apicurio's, in a JVM. The same schemas are registered, to
//! the letter, the same bytes written, and the same Connect schemas read.
//!
//! That one is older. Not compared is what Confluent's has got since: names and sizes of fixed bytes, numbers behind the names
//! of structs without one, unions of one type, defaults of unions. What it keeps of documentation as parameters is left out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

#[path = "../../../../transforms/tests/oracle/java.rs"]
mod java;
#[path = "../../../../transforms/tests/oracle/notation.rs"]
mod notation;
#[path = "../../../../transforms/tests/oracle/random_data.rs"]
mod random_data;

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::config::{ConfigMap, find_converter_plugin};
use connect_core::plugin::{Converter, ConverterRole};
use serde_json::{Value, json};
use sluice_converters as _;
use sluice_schema_registry as _;
use sluice_services::avro_converter_jars;
use sluice_stand_in_schema_registry::{Credentials, RegistryStandIn};

fn cases() -> Vec<Value> {
    let cases: Value = serde_json::from_str(include_str!("cases.json")).unwrap();
    let (data, schemas) = (cases["data"].as_array(), cases["schemas"].as_array());
    let configs = [
        json!({}),
        json!({"enhanced.avro.schema.support": "true"}),
        json!({"connect.meta.data": "false"}),
    ];
    let mut requests = Vec::new();
    for config in configs {
        for datum in data.unwrap() {
            requests.push(json!({"avro": null, "config": config, "datum": datum}));
        }
        // That option is about what is written; here nothing is dropped that was written without it.
        if config.get("connect.meta.data").is_none() {
            let read = schemas.unwrap().iter();
            requests.extend(read.map(|schema| json!({"avro": schema, "config": config})));
        }
    }
    requests
}

fn converter(request: &Value, url: String) -> Arc<dyn Converter> {
    let mut config: ConfigMap = serde_json::from_value(request["config"].clone()).unwrap();
    config.insert("schema.registry.url".to_owned(), url);
    let plugin = find_converter_plugin("io.confluent.connect.avro.AvroConverter").unwrap();
    plugin.make.unwrap()(&config, ConverterRole::Value).unwrap()
}

/// The registered schema and the bytes of a value, without the frame.
async fn written(request: &Value) -> Value {
    let registry = RegistryStandIn::start(Credentials::Anyone).await.unwrap();
    let converter = converter(request, registry.url());
    let datum = notation::datum_from(&request["datum"]);
    let lookup = converter.schema_lookup().unwrap();
    lookup.fetch_for_writing("t", &datum).await.unwrap();
    let bytes = converter.to_bytes("t", &datum).unwrap().unwrap();
    json!({"schema": registry.schema(1), "bytes": STANDARD.encode(&bytes[5..])})
}

/// The Connect schema that values of an Avro schema are read with: of a value of zeros, which every schema here takes.
async fn read(request: &Value) -> Value {
    let registry = RegistryStandIn::start(Credentials::Anyone).await.unwrap();
    let body = json!({"schema": request["avro"].to_string()}).to_string();
    let response = reqwest::Client::new()
        .post(format!("{}/subjects/t/versions", registry.url()))
        .header("content-type", "application/json")
        .body(body)
        .send();
    assert!(response.await.unwrap().status().is_success(), "{request}");
    let converter = converter(request, registry.url());
    let lookup = converter.schema_lookup().unwrap();
    for zeros in 0..40 {
        let bytes = Bytes::from([&b"\0\0\0\0\x01"[..], &vec![0; zeros]].concat());
        lookup.fetch_for_reading("t", &bytes).await.unwrap();
        if let Ok(datum) = converter.to_connect("t", &Vec::new(), Some(&bytes)) {
            return json!({"schema": notation::datum_shown(&datum)["schema"]});
        }
    }
    json!({"error": "no value was read"})
}

/// Without what only the other one keeps.
fn compared(mut kafkas: Value) -> Value {
    if let Some(answer) = kafkas.as_object_mut() {
        answer.shift_remove("value");
    }
    kafkas
}

#[tokio::test]
async fn schemas_and_bytes_are_those_of_a_jvm_converter() {
    let requests = cases();
    assert!(requests.len() >= 100, "{} cases", requests.len());
    let report = report(&requests).await;
    assert!(report.is_empty(), "of {} cases:\n{report}", requests.len());
}

#[tokio::test]
async fn random_structs_are_written_as_by_a_jvm_converter() {
    let mut random = fastrand::Rng::with_seed(3);
    let structs = std::iter::repeat_with(|| random_data::datum(&mut random))
        .filter(|datum| datum["schema"].is_object());
    let request = |datum: Value| {
        // Avro has no dots in names.
        let text = datum.to_string().replace("d.e", "d_e");
        let mut datum: Value = serde_json::from_str(&text).unwrap();
        name_structs(&mut datum["schema"], &mut 0);
        json!({"avro": null, "config": {}, "datum": datum})
    };
    let requests: Vec<_> = structs.take(300).map(request).collect();
    let report = report(&requests).await;
    assert!(report.is_empty(), "{report}");
}

/// Gives each struct a name of its own, and takes away what the other converter keeps elsewhere.
fn name_structs(schema: &mut Value, count: &mut usize) {
    if let Some(schema) = schema.as_object_mut() {
        schema.shift_remove("doc");
    }
    if schema["type"] == "struct" {
        schema["name"] = json!(format!("shop.Struct{count}"));
        *count += 1;
    }
    for field in schema["fields"].as_array_mut().into_iter().flatten() {
        name_structs(field, count);
    }
}

async fn report(requests: &[Value]) -> String {
    let jars = format!(":{}/*", avro_converter_jars().unwrap().display());
    let theirs = java::answers(requests, &jars).unwrap();
    let mut report = String::new();
    for (request, theirs) in requests.iter().zip(theirs) {
        let ours = if request["avro"].is_null() {
            written(request).await
        } else {
            read(request).await
        };
        let theirs = compared(theirs);
        if ours != theirs {
            writeln!(report, "{request}\n  ours   {ours}\n  theirs {theirs}").unwrap();
        }
    }
    report
}
