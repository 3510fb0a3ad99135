//! Query strings: parameters may repeat, values are percent-encoded.

use percent_encoding::percent_decode_str;

/// The parameters of a query.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn of(query: Option<String>) -> Self {
        let query = query.unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(decoded.collect())
    }

    /// All values of a parameter, in order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.0.iter().filter(move |(known, _)| known == name);
        of_name.map(|(_, value)| value.as_str())
    }

    /// True if the first value of a parameter is `true`, in any case.
    pub(super) fn is_true(&self, name: &str) -> bool {
        let first = self.all(name).next();
        first.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// A name or value as it was meant.
pub(super) fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_repeat_are_decoded_and_may_have_no_value() {
        let parameters = Parameters::of(Some(
            "expand=%73tatus&expand=a+b&flag&x=TRUE&x=no".to_owned(),
        ));
        assert_eq!(
            parameters.all("expand").collect::<Vec<_>>(),
            ["status", "a b"]
        );
        assert_eq!(parameters.all("flag").collect::<Vec<_>>(), [""]);
        assert!(parameters.is_true("x") && !parameters.is_true("flag"));
    }
}
