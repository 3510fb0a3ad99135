//! `DropHeaders`: removes headers by name.

use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{Transform, TransformRecord, Transformed};

use crate::fields::check_names;
use crate::part::register;

/// Options of DropHeaders.
#[derive(Debug, ConnectorConfig)]
struct DropHeadersOptions {
    /// The names of the headers to remove.
    #[option(name = "headers", importance = High, validator = Validator::NonEmptyList)]
    headers: Vec<String>,
}

struct DropHeaders(DropHeadersOptions);

impl DropHeaders {
    fn new(options: DropHeadersOptions) -> Result<Self, Vec<OptionError>> {
        check_names("headers", &options.headers)?;
        Ok(Self(options))
    }
}

impl Transform for DropHeaders {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let is_dropped = |name: &str| self.0.headers.iter().any(|header| header == name);
        record.headers.retain(|header| !is_dropped(&header.key));
        Ok(Transformed::One(record))
    }
}

register!("DropHeaders", DropHeadersOptions, DropHeaders::new);

#[cfg(test)]
mod tests {
    use connect_core::data::{Datum, Header};

    use crate::testing::{applied, json, record, refused, text_of};

    #[test]
    fn all_headers_of_a_name_go_and_the_others_keep_their_order() {
        let mut given = record(Datum::null(), json("1"));
        for (name, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("A", "5")] {
            let (key, value) = (name.into(), json(value));
            given.headers.push(Header { key, value });
        }
        let record = applied("DropHeaders", &[("headers", "a, c")], given).unwrap();
        let left = |header: &Header| format!("{}={}", header.key, text_of(&header.value));
        let left: Vec<_> = record.headers.iter().map(left).collect();
        assert_eq!(left, ["b=2", "A=5"]);
    }

    #[test]
    fn a_list_without_names_is_refused() {
        assert!(refused("DropHeaders", &[("headers", "")]).contains("must not be empty"));
        assert!(refused("DropHeaders", &[]).contains("Missing required"));
        let twice = refused("DropHeaders", &[("headers", "a,b,a")]);
        assert_eq!(
            twice,
            "Configuration 'headers' values must not be duplicated."
        );
    }
}
