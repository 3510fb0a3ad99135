//! `RegexRouter`: renames the topic where the whole name matches.

use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{Transform, TransformRecord, Transformed};

use crate::part::register;
use crate::pattern::{Pattern, is_pattern};
use crate::replacement::Replacement;

/// Options of RegexRouter.
#[derive(Debug, ConnectorConfig)]
struct RegexRouterOptions {
    /// The regular expression that the whole name must match.
    #[option(name = "regex", importance = High, validator = Validator::Custom(is_pattern))]
    regex: String,
    /// The new name; `$1` is the first group, `${name}` a named one, a backslash takes the meaning from a sign.
    #[option(name = "replacement", importance = High)]
    replacement: String,
}

struct RegexRouter {
    pattern: Pattern,
    replacement: Replacement,
}

impl RegexRouter {
    fn new(options: &RegexRouterOptions) -> Result<Self, Vec<OptionError>> {
        let pattern = Pattern::new(&options.regex)
            .map_err(|reason| vec![OptionError::invalid("regex", &options.regex, &reason)])?;
        let text = &options.replacement;
        let replacement = Replacement::new(text, &pattern)
            .map_err(|reason| vec![OptionError::invalid("replacement", text, &reason)])?;
        Ok(Self {
            pattern,
            replacement,
        })
    }

    /// As Java's `replaceFirst`: what it replaces may be less than the whole name.
    fn renamed(&self, topic: &str) -> Option<String> {
        let found = self.pattern.first(topic)?;
        let place = found.get(0)?;
        let mut name = topic.get(..place.start())?.to_owned();
        self.replacement.fill(&found, &mut name);
        name.push_str(topic.get(place.end()..)?);
        Some(name)
    }
}

impl Transform for RegexRouter {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        if let Some(name) = self.renamed(&record.topic) {
            record.topic = name.into();
        }
        Ok(Transformed::One(record))
    }
}

register!("RegexRouter", RegexRouterOptions, |options| {
    RegexRouter::new(&options)
});

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(regex: &str, replacement: &str, topic: &str) -> Option<String> {
        let (regex, replacement) = (regex.to_owned(), replacement.to_owned());
        RegexRouter::new(&RegexRouterOptions { regex, replacement })
            .unwrap()
            .renamed(topic)
    }

    #[test]
    fn names_are_replaced_as_java_replaces_them() {
        assert_eq!(renamed("(.*)-(\\d+)", "$2_$1x", "a-7").unwrap(), "7_ax");
        assert_eq!(renamed("(?<all>.*)", "p.${all}\\$1", "a").unwrap(), "p.a$1");
        assert_eq!(renamed("(.)(.*)", "$12", "ab").unwrap(), "a2");
        assert_eq!(renamed("a", "b", "aa"), None);
        assert_eq!(renamed("a|ab", "x", "ab").unwrap(), "xb");
    }
}
