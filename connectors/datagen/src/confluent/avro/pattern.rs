//! Texts that a regular expression matches.

use fastrand::Rng;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Characters a pattern may make, at the most.
const LONGEST: usize = 1 << 20;

/// A regular expression, ready to make texts.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Piece);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    /// One character of these ranges.
    Class(Vec<(char, char)>),
    Repeat(Box<Piece>, u32, u32),
    Sequence(Vec<Piece>),
    Choice(Vec<Piece>),
}

impl Pattern {
    /// Reads an expression. What may be repeated without end is repeated up to `more` times more than it must be.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn parse(expression: &str, more: u32) -> Result<Self, String> {
        let parsed = regex_syntax::parse(expression);
        let parsed = parsed.map_err(|error| format!("regex {expression}: {error}"))?;
        let piece = Piece::of(&parsed, more)?;
        if piece.longest() > LONGEST {
            return Err(format!(
                "regex {expression}: it makes texts that are too long"
            ));
        }
        Ok(Self(piece))
    }

    /// A text that matches.
    pub(crate) fn sample(&self, rng: &mut Rng) -> String {
        let mut text = String::new();
        self.0.write(rng, &mut text);
        text
    }
}

impl Piece {
    fn of(expression: &Hir, more: u32) -> Result<Self, String> {
        let each = |parts: &[Hir]| -> Result<Vec<Self>, String> {
            parts.iter().map(|part| Self::of(part, more)).collect()
        };
        Ok(match expression.kind() {
            // Anchors and word borders make no text.
            HirKind::Empty | HirKind::Look(_) => Self::Text(String::new()),
            HirKind::Literal(literal) => {
                Self::Text(String::from_utf8_lossy(&literal.0).into_owned())
            }
            HirKind::Class(class) => Self::Class(ranges(class)?),
            HirKind::Repetition(repeated) => {
                let most = repeated.min.saturating_add(more);
                let most = repeated.max.unwrap_or(most);
                Self::Repeat(Box::new(Self::of(&repeated.sub, more)?), repeated.min, most)
            }
            HirKind::Capture(capture) => Self::of(&capture.sub, more)?,
            HirKind::Concat(parts) => Self::Sequence(each(parts)?),
            HirKind::Alternation(parts) => Self::Choice(each(parts)?),
        })
    }

    /// Characters it makes, at the most.
    fn longest(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Class(_) => 1,
            Self::Repeat(piece, _, most) => {
                let most = usize::try_from(*most).unwrap_or(usize::MAX);
                piece.longest().saturating_mul(most)
            }
            Self::Sequence(pieces) => {
                let each = pieces.iter().map(Self::longest);
                each.fold(0, usize::saturating_add)
            }
            Self::Choice(pieces) => pieces.iter().map(Self::longest).max().unwrap_or(0),
        }
    }

    fn write(&self, rng: &mut Rng, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Class(ranges) => out.push(character(ranges, rng)),
            Self::Repeat(piece, least, most) => {
                for _ in 0..rng.u32(*least..=*most) {
                    piece.write(rng, out);
                }
            }
            Self::Sequence(pieces) => pieces.iter().for_each(|piece| piece.write(rng, out)),
            Self::Choice(pieces) => {
                if let Some(piece) = rng.choice(pieces) {
                    piece.write(rng, out);
                }
            }
        }
    }
}

/// The class's characters: those of them that are printable ASCII, if there are any.
fn ranges(class: &Class) -> Result<Vec<(char, char)>, String> {
    let all: Vec<(char, char)> = match class {
        Class::Unicode(class) => {
            let ranges = class.ranges().iter();
            ranges.map(|range| (range.start(), range.end())).collect()
        }
        Class::Bytes(class) => {
            let ranges = class.ranges().iter();
            ranges
                .map(|range| (range.start().into(), range.end().into()))
                .collect()
        }
    };
    let within = |&(from, to): &(char, char)| (from.max(' '), to.min('~'));
    let printable = all.iter().map(within).filter(|(from, to)| from <= to);
    let printable: Vec<_> = printable.collect();
    match (printable.is_empty(), all.is_empty()) {
        (false, _) => Ok(printable),
        (true, false) => Ok(all),
        (true, true) => Err("regex: a class without characters matches nothing".to_owned()),
    }
}

/// One of the characters, each as likely as the others.
fn character(ranges: &[(char, char)], rng: &mut Rng) -> char {
    let length = |(from, to): &(char, char)| u32::from(*to) - u32::from(*from) + 1;
    let mut chosen = rng.u32(0..ranges.iter().map(length).sum::<u32>().max(1));
    for range in ranges {
        if chosen < length(range) {
            // What lies between two characters is one, but for surrogates.
            return char::from_u32(u32::from(range.0) + chosen).unwrap_or(range.0);
        }
        chosen -= length(range);
    }
    ' '
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, any, prop_assert, prop_oneof, proptest};

    proptest! {
        #[test]
        fn every_text_matches_its_expression(
            seed in any::<u64>(),
            expression in prop_oneof![
                Just("User_[1-9]"),
                Just("Item_[1-9][0-9]{0,2}"),
                Just("(a|bc)+[^x]?\\d{3}\\s\\w*"),
                Just("[0-9]{4}-[A-F]{2,}|none"),
                Just("^.{5}$"),
                Just("[äöü]{2}"),
            ],
        ) {
            let text = Pattern::parse(expression, 16).unwrap().sample(&mut Rng::with_seed(seed));
            let whole = regex::Regex::new(&format!("^(?:{expression})$")).unwrap();
            prop_assert!(whole.is_match(&text), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        for (expression, reason) in [
            ("[a", "regex [a"),
            ("(a{1000}){1000}{1000}", "too long"),
            ("[a&&b]", "matches nothing"),
        ] {
            let error = Pattern::parse(expression, 16).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
