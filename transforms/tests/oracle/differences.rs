//! What is meant to differ from Kafka's transforms, and why.

use serde_json::Value;

use crate::cases::Case;

/// A difference that is meant.
pub(crate) struct Difference {
    /// The class, without its package and part.
    class: &'static str,
    /// The end of the way to the part that differs; nothing if only one of both fails.
    way: &'static str,
    /// What our answer holds.
    ours: &'static str,
    /// What Kafka's answer holds.
    kafkas: &'static str,
    /// Why.
    pub(crate) reason: &'static str,
}

const MESSAGE: &str = "/error/message";
const WHEN: &str = "/error/when";

const WITHOUT_LOGICAL_NAME: &str = "a value that is no date any more keeps a date's schema in Kafka, and no converter can write it";
const JAVA_CLASSES: &str =
    "Kafka's words name classes of Java or put value and option in the wrong places";
const AT_THE_START: &str =
    "a wrong option is refused when the transform is made, not at the first record";
const REGEX_WORDS: &str = "what is wrong with a regular expression is said in other words";
const REGEX_PROPERTIES: &str =
    "properties of characters that only Java has (XDigit, java…, In…) are refused";
const REGEX_MORE: &str = "some of what Java refuses or takes for something else is taken as other engines do: x{, (?P<n>…), [[:alpha:]]";
const SCALE: &str =
    "a masked decimal has the scale of its field: with another no converter can write it";
const NO_SUCH_FIELD: &str =
    "a field that is not there is named, where Kafka fails with a null pointer";
const NO_FORMAT: &str = "that a pattern is missing is said, where Kafka fails with a null pointer";
const ANY_SCHEMA: &str =
    "name and version are set on every schema; Kafka 4.3.1 fails on all but structs";
const TIME_UNKNOWN: &str = "a record of the log has a time: where it is not known, leaving it out would lose it without a word";
const NO_RECORD_SHOWN: &str = "an error does not show the record: it may hold secrets";
const NOT_READ: &str =
    "years of weeks are written, not read: what Kafka makes of them is seldom what is meant";

const STRUCT_DEFAULT: &str =
    "a struct's default is read, where Kafka finds that it is not of its own schema";
const REQUIRED_NULL: &str = "a null in a required field with a default stays, where Kafka copies it from one struct and refuses it in the next";

const TWICE: &str =
    "a name given twice is refused always; Kafka's validation refuses it, its classes pass over it";

const HEADER_PARTS: &str =
    "a header's list or map of several types has no schema, where Kafka's has one without parts";
const HEADER_NULL: &str = "a null does not make a text of the list it is in";
const HEADER_DATE: &str = "what is no date stays text, where Kafka counts on into the next year";

const HEADER_TEXT: &str =
    "a header's text such as 22:13 stays whole, where Kafka reads the number it begins with";

macro_rules! differences {
    ($($class:literal, $way:expr, $ours:literal, $kafkas:literal, $reason:expr;)*) => {
        &[$(Difference { class: $class, way: $way, ours: $ours, kafkas: $kafkas, reason: $reason }),*]
    };
}

/// All of them.
pub(crate) const LISTED: &[Difference] = differences![
    "Cast", "/schema/name", "null", "org.apache.kafka.connect.data.", WITHOUT_LOGICAL_NAME;
    "Cast", "/schema/version", "null", "1", WITHOUT_LOGICAL_NAME;
    "Cast", "/schema/parameters", "null", "scale", WITHOUT_LOGICAL_NAME;
    "Cast", MESSAGE, "Invalid type found in casting spec", "No enum constant", JAVA_CLASSES;
    "Cast", MESSAGE, "configuration spec: Invalid rename mapping", "configuration renames", JAVA_CLASSES;
    "ExtractField", MESSAGE, "Empty path", "fromIndex(0) > toIndex(-1)", JAVA_CLASSES;
    "ExtractField", WHEN, "configure", "apply", AT_THE_START;
    "HeaderFrom", "", "default", "null", REQUIRED_NULL;
    "HeaderFrom", MESSAGE, "Field does not exist: zz", "is null", NO_SUCH_FIELD;
    "InsertField", "", "the log cannot tell", "topic", TIME_UNKNOWN;
    "InsertField", MESSAGE, "static field: st", "InsertionSpec@", JAVA_CLASSES;
    "InsertHeader", "/headers", "\"h\",\"value\":{\"schema\":{\"type\":\"string\"", "\"int8\":", HEADER_TEXT;
    "InsertHeader", "/headers", "\"schema\":null", "\"items\":null", HEADER_PARTS;
    "InsertHeader", "/headers", "\"schema\":null", "\"values\":null", HEADER_PARTS;
    "InsertHeader", "/headers", "\"array\"", "[1,null]", HEADER_NULL;
    "InsertHeader", "/headers", "2023-13-01", "data.Date", HEADER_DATE;
    "MaskField", "/dec/decimal", "e-2", "e", SCALE;
    "MaskField", "/value/map", "0e-2", "0e0", SCALE;
    "MaskField", "", "Unable to convert 7.255", "7255e-3", SCALE;
    "RegexRouter", MESSAGE, "configuration replacement", "", AT_THE_START;
    "RegexRouter", WHEN, "configure", "apply", AT_THE_START;
    "RegexRouter", MESSAGE, "Invalid regex", "Invalid regex", REGEX_WORDS;
    "SetSchemaMetadata", "", "\"schema\"", "Cannot list fields on non-struct type", ANY_SCHEMA;
    "Cast", "", "default", "Struct schemas do not match", STRUCT_DEFAULT;
    "Cast", "", "default", "null used for required field", REQUIRED_NULL;
    "HeaderFrom", "", "default", "Struct schemas do not match", STRUCT_DEFAULT;
    "InsertField", "", "default", "Struct schemas do not match", STRUCT_DEFAULT;
    "InsertField", "", "default", "null used for required field", REQUIRED_NULL;
    "MaskField", "", "default", "Struct schemas do not match", STRUCT_DEFAULT;
    "ReplaceField", "", "default", "Struct schemas do not match", STRUCT_DEFAULT;
    "ReplaceField", "", "default", "null used for required field", REQUIRED_NULL;
    "SetSchemaMetadata", "", "default", "Struct schemas do not match", STRUCT_DEFAULT;
    "ValueToKey", "", "default", "Struct schemas do not match", STRUCT_DEFAULT;
    "TimestampConverter", MESSAGE, "configuration format", "SimpleDateFormat-compatible", JAVA_CLASSES;
    "TimestampConverter", MESSAGE, "requires format option", "is null", NO_FORMAT;
    "TimestampConverter", MESSAGE, "letter Y", "Could not parse", NOT_READ;
    "TimestampConverter", "", "letter Y", "topic", NOT_READ;
    "TimestampRouter", MESSAGE, "Timestamp missing on record", "Timestamp missing on record: ", NO_RECORD_SHOWN;
    "TimestampRouter", MESSAGE, "configuration timestamp.format", "", AT_THE_START;
    "TimestampRouter", WHEN, "configure", "apply", AT_THE_START;
    "DropHeaders", "", "duplicated", "topic", TWICE;
    "MaskField", "", "duplicated", "topic", TWICE;
    "ReplaceField", "", "duplicated", "topic", TWICE;
    "ValueToKey", "", "duplicated", "topic", TWICE;
    "predicates.TopicNameMatches", "", "Error compiling regex", "test", REGEX_PROPERTIES;
    "predicates.TopicNameMatches", "", "test", "error", REGEX_MORE;
    "predicates.TopicNameMatches", "/test", "true", "false", REGEX_MORE;
    "predicates.TopicNameMatches", MESSAGE, "Invalid regex", "Invalid regex", REGEX_WORDS;
];

/// The number of the entry for a difference.
pub(crate) fn listed(case: &Case, way: &str, ours: &Value, kafkas: &Value) -> Option<usize> {
    let (ours, kafkas) = (ours.to_string(), kafkas.to_string());
    let class = case.class.split('$').next().unwrap_or_default();
    LISTED.iter().position(|difference| {
        difference.class == class
            && way.ends_with(difference.way)
            && way.is_empty() == difference.way.is_empty()
            && ours.contains(difference.ours)
            && kafkas.contains(difference.kafkas)
    })
}

/// True if what validation says differs as it is meant to.
pub(crate) fn in_validation(ours: &Value, kafkas: &Value) -> bool {
    // Kafka finds these at the first record or when the task starts.
    if kafkas.is_null() {
        return true;
    }
    let first = |errors: &Value| errors[0].as_str().unwrap_or_default().to_owned();
    let (ours, kafkas) = (first(ours), first(kafkas));
    // Of an option that is missing Kafka also says what null lacks.
    let is_missing = ours == kafkas && ours.starts_with("Missing required configuration");
    let both = |text: &str| ours.contains(text) && kafkas.contains(text);
    is_missing
        // Some of what only Java refuses is taken.
        || kafkas.contains("Invalid regex")
        || both("Invalid rename mapping")
        || both("Invalid type found in casting spec")
}
