//! `arg.properties`: what makes the values of a type fewer than all it could have.

use std::ops::Range;

use serde_json::{Map, Value as Json};

use super::iteration::Counted;
use super::plan::Length;

/// Items, characters or bytes of one value, at the most.
pub(super) const LONGEST: usize = 1 << 20;

/// Between the shortest and the longest, where only one is said or none.
const USUAL: Length = 8..16;

/// The `arg.properties` of a type; maybe none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Properties<'a>(Option<&'a Map<String, Json>>);

impl<'a> Properties<'a> {
    /// Those that `given` is or has under `arg.properties`.
    pub(super) fn of(schema: &'a Map<String, Json>) -> Result<Self, String> {
        match schema.get("arg.properties") {
            None => Ok(Self(None)),
            Some(given) => Self::from_json(given),
        }
    }

    pub(super) fn from_json(given: &'a Json) -> Result<Self, String> {
        let given = given
            .as_object()
            .ok_or("arg.properties must be an object")?;
        if given.contains_key("options") {
            let others = ["length", "regex", "iteration", "range"];
            if let Some(other) = others.into_iter().find(|key| given.contains_key(*key)) {
                return Err(format!("options cannot go with {other}"));
            }
        }
        Ok(Self(Some(given)))
    }

    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn get(self, key: &str) -> Option<&'a Json> {
        self.0?.get(key)
    }

    pub(super) fn text(self, key: &str) -> Result<&'a str, String> {
        let given = self.get(key).map(|given| given.as_str().ok_or(given));
        match given.unwrap_or(Ok("")) {
            Ok(text) => Ok(text),
            Err(given) => Err(format!("{key} must be text, not {given}")),
        }
    }

    /// How many items: a number is just that many.
    pub(super) fn length(self) -> Result<Length, String> {
        match self.get("length") {
            None => Ok(USUAL),
            Some(Json::Number(_)) => {
                let (exactly, _) = self.length_bounds()?;
                exactly.map_or(Ok(USUAL), |exactly| bounded(exactly..exactly + 1))
            }
            Some(_) => match self.length_bounds()? {
                (Some(least), Some(most)) => bounded(least..most),
                (Some(least), None) => bounded(least..least + USUAL.len()),
                (None, Some(most)) => bounded(0..most),
                (None, None) => Err("length needs min or max".to_owned()),
            },
        }
    }

    /// How many characters a text made by a pattern must have, if it matters: a number is the least.
    pub(super) fn pattern_length(self) -> Result<Option<Length>, String> {
        if self.get("length").is_none() {
            return Ok(None);
        }
        let (least, most) = self.length_bounds()?;
        let (least, most) = (least.unwrap_or(0), most.unwrap_or(LONGEST));
        bounded(least..most).map(Some)
    }

    fn length_bounds(self) -> Result<(Option<usize>, Option<usize>), String> {
        let number = |given: &Json| {
            let number = given
                .as_u64()
                .and_then(|number| usize::try_from(number).ok());
            let number = number.filter(|number| *number <= LONGEST);
            number.ok_or_else(|| format!("length must be a number up to {LONGEST}, not {given}"))
        };
        match self.get("length") {
            None => Ok((None, None)),
            Some(Json::Object(bounds)) => Ok((
                bounds.get("min").map(number).transpose()?,
                bounds.get("max").map(number).transpose()?,
            )),
            Some(given) => Ok((Some(number(given)?), None)),
        }
    }

    /// The numbers to choose from: `usual` without a range; one end of it is its type's where only the other is said.
    pub(super) fn range<N: Counted + std::fmt::Debug>(
        self,
        usual: Range<N>,
        all: Range<N>,
    ) -> Result<Range<N>, String> {
        let Some(given) = self.get("range") else {
            return Ok(usual);
        };
        let given = given.as_object().ok_or("range must be an object")?;
        let bound = |key: &str| match given.get(key) {
            None => Ok(None),
            Some(json) => {
                let number = N::of(json);
                let number = number.filter(|number| all.start <= *number && *number <= all.end);
                let wrong = || format!("range: {key} is no number of this type: {json}");
                number.ok_or_else(wrong).map(Some)
            }
        };
        let (from, to) = (bound("min")?, bound("max")?);
        if from.is_none() && to.is_none() {
            return Err("range needs min or max".to_owned());
        }
        let range = from.unwrap_or(all.start)..to.unwrap_or(all.end);
        if range.start < range.end {
            Ok(range)
        } else {
            Err(format!(
                "range {range:?} is empty: min must be less than max"
            ))
        }
    }
}

fn bounded(length: Length) -> Result<Length, String> {
    if length.is_empty() {
        return Err(format!(
            "length {length:?} is empty: min must be less than max"
        ));
    }
    Ok(length)
}
