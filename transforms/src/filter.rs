//! `Filter`: drops every record it is applied to; a predicate says which.

use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{Transform, TransformRecord, Transformed};

use crate::part::register;

/// Filter has no options.
#[derive(Debug, ConnectorConfig)]
struct FilterOptions {}

struct Filter;

impl Filter {
    fn new(_no_options: FilterOptions) -> Result<Self, Vec<OptionError>> {
        Ok(Self)
    }
}

impl Transform for Filter {
    fn apply(&mut self, _dropped: TransformRecord) -> Result<Transformed> {
        Ok(Transformed::Dropped)
    }
}

register!("Filter", FilterOptions, Filter::new);

#[cfg(test)]
mod tests {
    use connect_core::data::Datum;
    use connect_core::plugin::Transformed;

    use crate::testing::{json, record, transform};

    #[test]
    fn every_record_is_dropped() {
        let mut filter = transform("Filter", &[]).unwrap();
        let dropped = filter.apply(record(Datum::null(), json("1"))).unwrap();
        assert!(matches!(dropped, Transformed::Dropped));
    }
}
