//! What is meant to differ from Kafka's converters, and why.

use serde_json::Value;

use crate::cases::Case;

/// A difference that is meant.
pub(crate) struct Difference {
    /// The end of the class.
    converter: &'static str,
    /// What the case's name holds.
    case: &'static str,
    /// What our answer holds.
    ours: &'static str,
    /// What Kafka's answer holds.
    kafkas: &'static str,
    /// Why.
    pub(crate) reason: &'static str,
}

const WHOLE: &str =
    "a header's text that only begins like a number, list or map stays whole: Kafka drops the rest";
const NO_SCHEMA: &str = "a list or map of several types, or of none, has no schema; Kafka's has one whose parts are null";
const WITH_NULL: &str = "a null does not make a text of the list it is in";
const WIDENED: &str = "the elements of inner lists have the type that the schema says; Kafka leaves them as they were";
const NO_DATE: &str = "what is no date or time of day stays text; Kafka counts on into the next month or passes over what follows";
const JULIAN: &str = "days before 1582 are Gregorian, as in ISO 8601; Java's are Julian";
const NOT_UTF8: &str = "bytes that are not UTF-8 stay bytes; Kafka loses them";
const MOMENTS: &str = "a date is written as a date and a timestamp as a timestamp; Kafka writes those before 2 January 1970 as a time of day, and midnights as dates";
const ENCODINGS: &str = "UTF-8 is the only character set";
const MISFITS: &str =
    "a value that does not fit its type is refused; Kafka reads 0, null, or what is left of it";
const SCALE: &str = "a number that is read as a decimal has the scale of its schema, and is refused if that would lose digits; Kafka's has another scale than its schema";
const JSON_ONLY: &str = "what is not JSON is refused: leading zeros, more after the value";
const NUMBERS: &str = "numbers beyond 64 bits keep their digits; Kafka wraps or rounds them";
const DECIMALS: &str = "a decimal without a schema is written; Kafka knows none";
const PARAMETERS: &str = "parameters are written in alphabetical order";
const CACHE_SIZE: &str = "a cache cannot be smaller than nothing";

macro_rules! differences {
    ($($converter:literal, $case:expr, $ours:literal, $kafkas:literal, $reason:expr;)*) => {
        &[$(Difference { converter: $converter, case: $case, ours: $ours, kafkas: $kafkas, reason: $reason }),*]
    };
}

/// All of them.
pub(crate) const LISTED: &[Difference] = differences![
    "SimpleHeaderConverter", "reads \"[", "\"schema\":null", "\"items\":null", NO_SCHEMA;
    "SimpleHeaderConverter", "reads \"{", "\"schema\":null", "\"values\":null", NO_SCHEMA;
    "SimpleHeaderConverter", "null", "\"schema\":null", "\"string\"", WITH_NULL;
    "SimpleHeaderConverter", "[300]", "{\"int16\":1}", "{\"int8\":1}", WIDENED;
    "SimpleHeaderConverter", "reads \"2023-", "\"string\"", "data.Date", NO_DATE;
    "SimpleHeaderConverter", "Z\"", "\"string\"", "data.Time", NO_DATE;
    "SimpleHeaderConverter", "-01-01", "\"date\":-", "\"date\":-", JULIAN;
    "SimpleHeaderConverter", "reads bytes", "\"bytes\"", "\"string\"", NOT_UTF8;
    "SimpleHeaderConverter", "writes {\"schema\":{\"type\":\"int", "bytes", "bytes", MOMENTS;
    "SimpleHeaderConverter", "reads", "\"string\"", "\"int8\"", WHOLE;
    "SimpleHeaderConverter", "reads", "\"string\"", "\"array\"", WHOLE;
    "SimpleHeaderConverter", "reads", "\"string\"", "\"map\"", WHOLE;
    "StringConverter", "encoding", "only UTF-8 is supported", "", ENCODINGS;
    "JsonConverter", "reads", "that does not fit", "\"value\"", MISFITS;
    "JsonConverter", "NaN", "\"float64\"", "\"float64\":0}", MISFITS;
    "JsonConverter", "data.Decimal", "500e-2", "5e0", SCALE;
    "JsonConverter", "data.Decimal", "more digits than its scale", "1005e-3", SCALE;
    "JsonConverter", "reads", "serialization error", "\"value\"", JSON_ONLY;
    "JsonConverter", "reads", "\"integer\"", "", NUMBERS;
    "JsonConverter", "$decimal", "bytes", "does not have corresponding schema type", DECIMALS;
    "JsonConverter", "connect.decimal.precision", "bytes", "bytes", PARAMETERS;
    "JsonConverter", "\"schemas.cache.size\":\"-1\"", "configure", "convert", CACHE_SIZE;
];

/// The number of the entry for a difference.
pub(crate) fn listed(case: &Case, ours: &Value, kafkas: &Value) -> Option<usize> {
    let (ours, kafkas) = (ours.to_string(), kafkas.to_string());
    LISTED.iter().position(|difference| {
        case.converter.ends_with(difference.converter)
            && case.name.contains(difference.case)
            && ours.contains(difference.ours)
            && kafkas.contains(difference.kafkas)
    })
}
