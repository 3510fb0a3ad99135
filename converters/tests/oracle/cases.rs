//! What is converted: each converter with bytes to read and values to write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A conversion.
pub(crate) struct Case {
    /// The class without its package.
    pub(crate) converter: String,
    pub(crate) name: String,
    pub(crate) request: Value,
}

/// Every case of every file.
pub(crate) fn all() -> Vec<Case> {
    let files = [
        include_str!("cases/numbers.json"),
        include_str!("cases/headers.json"),
        include_str!("cases/text.json"),
        include_str!("cases/json.json"),
    ];
    let groups = files
        .iter()
        .flat_map(|file| serde_json::from_str::<Vec<Value>>(file).unwrap());
    groups.flat_map(|group| of_group(&group)).collect()
}

/// One converter and configuration, with texts, bytes in hexadecimal and values.
fn of_group(group: &Value) -> Vec<Case> {
    let each = |key: &str| group[key].as_array().cloned().unwrap_or_default();
    let converters = group["converters"].as_array().cloned();
    let converters = converters.unwrap_or_else(|| vec![group["converter"].clone()]);
    let mut cases = Vec::new();
    for converter in converters {
        let mut case = |way: &str, given: Value, part: (&str, Value)| {
            let config = if group["config"].is_null() {
                json!({})
            } else {
                group["config"].clone()
            };
            let mut request = json!({"converter": converter, "header": group["header"] == true, "config": config});
            request[part.0] = part.1;
            cases.push(Case {
                converter: converter.as_str().unwrap().to_owned(),
                name: format!("{converter} {} {way} {given}", request["config"]),
                request,
            });
        };
        for text in each("texts") {
            let bytes = text.as_str().map(|text| STANDARD.encode(text));
            case("reads", text, ("bytes", json!(bytes)));
        }
        for hex in each("bytes") {
            let bytes = STANDARD.encode(from_hex(hex.as_str().unwrap()));
            case("reads bytes", hex, ("bytes", json!(bytes)));
        }
        for datum in each("data") {
            case("writes", datum.clone(), ("datum", datum));
        }
    }
    cases
}

fn from_hex(text: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(pair).collect()
}
