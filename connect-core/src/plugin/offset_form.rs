//! What the offsets of a source look like, so that what a user sets is refused before it is stored and not misread after.
//!
//! Connectors call it in [`Connector::alter_offsets`](super::Connector::alter_offsets).

use serde_json::Value;

use super::OffsetChanges;
use crate::data::{SourceOffset, SourcePartition};
use crate::{Error, Result};

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text.
    Text,
    /// A whole number, 0 or more.
    Whole,
    /// A number or text.
    NumberOrText,
    /// True or false.
    Flag,
}

impl FieldKind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Whole => value.is_u64(),
            Self::NumberOrText => value.is_number() || value.is_string(),
            Self::Flag => value.is_boolean(),
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Whole => "a whole number, 0 or more",
            Self::NumberOrText => "a number or text",
            Self::Flag => "true or false",
        }
    }
}

/// Keys, each with what stands under it.
pub type Fields = &'static [(&'static str, FieldKind)];

/// The form of a source's partitions and offsets.
#[derive(Debug, Clone, Copy)]
pub struct OffsetForm {
    /// What partitions hold: all keys of one of these.
    pub partitions: &'static [Fields],
    /// What offsets may hold.
    pub offset: Fields,
    /// The keys no offset lacks.
    pub required: &'static [&'static str],
}

impl OffsetForm {
    /// Whether all changes are of this form. What is removed may be anything.
    ///
    /// # Errors
    /// What is wrong with the first that is not.
    pub fn check(&self, changes: &OffsetChanges) -> Result<()> {
        let OffsetChanges::Source(changes) = changes else {
            return Ok(());
        };
        for (partition, offset) in changes {
            if let (Some(partition), Some(offset)) = (partition, offset) {
                self.check_partition(partition)?;
                self.check_offset(offset)?;
            }
        }
        Ok(())
    }

    fn check_partition(&self, partition: &SourcePartition) -> Result<()> {
        let is_of = |fields: &&Fields| {
            let fits = |(key, kind): &(&str, FieldKind)| {
                let value = partition.get(*key);
                value.is_some_and(|value| kind.fits(value))
            };
            partition.len() == fields.len() && fields.iter().all(fits)
        };
        if self.partitions.iter().any(|fields| is_of(&fields)) {
            return Ok(());
        }
        let forms = self.partitions.iter().map(|fields| listed(fields));
        let forms = forms.collect::<Vec<_>>().join(", or ");
        Err(Error::config(format!(
            "Partition objects should contain {forms}, and nothing else"
        )))
    }

    fn check_offset(&self, offset: &SourceOffset) -> Result<()> {
        let refused = |message: String| Err(Error::config(message));
        if let Some(key) = self.required.iter().find(|key| !offset.contains_key(**key)) {
            return refused(format!(
                "Offset objects should either be null or contain the key '{key}'"
            ));
        }
        for (key, value) in offset {
            let known = self.offset.iter().find(|(known, _)| known == key);
            match known {
                None => {
                    let all = listed(self.offset);
                    return refused(format!(
                        "Offset objects may not contain the key '{key}': there are {all}"
                    ));
                }
                Some((_, kind)) if !kind.fits(value) => {
                    let wanted = kind.shown();
                    return refused(format!(
                        "The value for the '{key}' key in the offset is expected to be {wanted}"
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn listed(fields: Fields) -> String {
    let shown = fields
        .iter()
        .map(|(key, kind)| format!("'{key}' ({})", kind.shown()));
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FORM: OffsetForm = OffsetForm {
        partitions: &[
            &[("file", FieldKind::Text)],
            &[("folder", FieldKind::Text), ("inode", FieldKind::Whole)],
        ],
        offset: &[
            ("position", FieldKind::Whole),
            ("mark", FieldKind::NumberOrText),
            ("done", FieldKind::Flag),
        ],
        required: &["position"],
    };

    fn checked(partition: Value, offset: Value) -> std::result::Result<(), String> {
        let object = |value: Value| serde_json::from_value(value).unwrap();
        let changes = OffsetChanges::Source(vec![(object(partition), object(offset))]);
        let checked = FORM.check(&changes);
        checked.map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_is_of_the_form_is_taken() {
        let partition = || json!({"folder": "/", "inode": 7});
        for offset in [
            json!({"position": 0}),
            json!({"position": u64::MAX, "mark": "a", "done": true}),
            json!({"position": 3, "mark": -1.5}),
        ] {
            assert_eq!(checked(partition(), offset), Ok(()));
        }
        assert_eq!(
            checked(json!({"file": "a"}), json!({"position": 1})),
            Ok(())
        );
    }

    #[test]
    fn anything_may_be_removed() {
        assert_eq!(checked(json!({"other": 1}), Value::Null), Ok(()));
        assert_eq!(
            checked(Value::Null, json!({"x": 1})),
            Ok(()),
            "refused elsewhere"
        );
    }

    #[test]
    fn what_is_not_of_the_form_is_named() {
        for partition in [
            json!({}),
            json!({"file": 5}),
            json!({"file": "a", "more": 1}),
            json!({"folder": "/", "inode": "7"}),
        ] {
            let refused = checked(partition, json!({"position": 1})).unwrap_err();
            assert_eq!(
                refused,
                "Partition objects should contain 'file' (text), or 'folder' (text), 'inode' (a whole number, 0 or more), and nothing else"
            );
        }
        for (offset, words) in [
            (json!({}), "contain the key 'position'"),
            (
                json!({"position": null}),
                "'position' key in the offset is expected to be a whole number, 0 or more",
            ),
            (json!({"position": -1}), "a whole number, 0 or more"),
            (json!({"position": 1.5}), "a whole number, 0 or more"),
            (json!({"position": "1"}), "a whole number, 0 or more"),
            (
                json!({"position": 1, "mark": true}),
                "'mark' key in the offset is expected to be a number or text",
            ),
            (
                json!({"position": 1, "done": 1}),
                "expected to be true or false",
            ),
            (
                json!({"position": 1, "surplus": 1}),
                "may not contain the key 'surplus'",
            ),
        ] {
            let refused = checked(json!({"file": "a"}), offset).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
