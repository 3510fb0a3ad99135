//! Where Sluice answers otherwise on purpose, and why. Everything else is an error.

use super::compare::Field;
use Field::{Body, Header, Message, Status};

/// An intended difference.
pub(super) struct Intended {
    /// Its key in the list of calls.
    pub(super) key: &'static str,
    /// What differs.
    pub(super) fields: &'static [Field],
    pub(super) reason: &'static str,
}

/// All of them.
pub(super) const INTENDED: &[Intended] = &[
    Intended {
        key: "api",
        fields: &[Status, Message, Body],
        reason: "The API describes itself: an OpenAPI document.",
    },
    Intended {
        key: "metrics",
        fields: &[Status, Message, Body],
        reason: "Metrics for Prometheus; Kafka Connect has them as JMX beans only.",
    },
    Intended {
        key: "content-type",
        fields: &[Status],
        reason: "A type that is none is refused like any other that is not JSON.",
    },
    Intended {
        key: "encoded-slash",
        fields: &[Status, Message, Header, Body],
        reason: "A connector whose name holds a slash can be made; here it can be addressed, too.",
    },
    Intended {
        key: "encoded-percent",
        fields: &[Status],
        reason: "A percent sign may be part of a name; there is nothing ambiguous in it once it is encoded.",
    },
    Intended {
        key: "matrix",
        fields: &[Message],
        reason: "A semicolon is part of the name: there are no matrix parameters.",
    },
    Intended {
        key: "dots",
        fields: &[Status],
        reason: "Encoded dots are a name like any other; no file is ever looked up by it.",
    },
    Intended {
        key: "double-slash",
        fields: &[Status, Header, Body],
        reason: "Slashes too many are not counted, as at the end of a path.",
    },
    Intended {
        key: "exponent",
        fields: &[Body],
        reason: "The exponent of a number that is not text is kept with its sign.",
    },
    Intended {
        key: "plugin-version",
        fields: &[Body],
        reason: "The options of the connector there is are shown all the same.",
    },
    Intended {
        key: "override-value",
        fields: &[Status, Message, Body],
        reason: "A value of the wrong type is an error of its key, as everywhere else, not one of the worker.",
    },
    Intended {
        key: "rename",
        fields: &[Status, Message, Body],
        reason: "Kafka Connect stores a config whose name is not the connector's; it is refused as with PUT.",
    },
    Intended {
        key: "why",
        fields: &[Message],
        reason: "The message says why.",
    },
    Intended {
        key: "java-class",
        fields: &[Status, Message],
        reason: "There are no Java classes to be found here.",
    },
    Intended {
        key: "full-name",
        fields: &[Status, Message, Body],
        reason: "The full name and the alias mean the same plugin, whichever stands where.",
    },
    Intended {
        key: "too-large",
        fields: &[Status, Message],
        reason: "Kafka Connect fails while it writes the config; here the request is refused before, with the status for it.",
    },
];
