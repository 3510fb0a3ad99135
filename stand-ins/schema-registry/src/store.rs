//! Subjects, versions and ids.
//!
//! Holds always: equal schemas have one id, whatever subjects they are in; a subject's versions count up from 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::answer::Refusal;
use crate::check::{Kind, Whole};

/// A schema that another one uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: usize,
}

/// What a client sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proposal {
    pub(crate) schema: String,
    #[serde(default, rename = "schemaType")]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) references: Option<Vec<Reference>>,
    #[serde(default, rename = "metadata")]
    pub(crate) _metadata: Option<serde_json::Value>,
    #[serde(default, rename = "ruleSet")]
    pub(crate) _rules: Option<serde_json::Value>,
}

/// A schema that is kept.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
    form: String,
}

/// Everything that is kept.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// The schema with id n at n - 1.
    schemas: Vec<Stored>,
    /// Ids by version.
    subjects: BTreeMap<String, Vec<usize>>,
    /// Levels other than `BACKWARD`.
    levels: BTreeMap<String, String>,
}

type Answer<T> = Result<T, Refusal>;

impl Store {
    pub(crate) fn by_id(&self, id: usize) -> Answer<&Stored> {
        let stored = id.checked_sub(1).and_then(|index| self.schemas.get(index));
        stored.ok_or(Refusal::NoSchema)
    }

    pub(crate) fn subjects(&self) -> Vec<&String> {
        self.subjects.keys().collect()
    }

    pub(crate) fn versions(&self, subject: &str) -> Answer<&[usize]> {
        let found = self.subjects.get(subject);
        found
            .map(Vec::as_slice)
            .ok_or_else(|| Refusal::NoSubject(subject.to_owned()))
    }

    /// Version and id.
    pub(crate) fn version(&self, subject: &str, version: &str) -> Answer<(usize, usize)> {
        let ids = self.versions(subject)?;
        let number = match version {
            "latest" => ids.len(),
            number => number.parse().map_err(|_| Refusal::NoVersion)?,
        };
        let id = number.checked_sub(1).and_then(|index| ids.get(index));
        Ok((number, *id.ok_or(Refusal::NoVersion)?))
    }

    pub(crate) fn set_level(&mut self, subject: &str, level: &str) {
        self.levels.insert(subject.to_owned(), level.to_owned());
    }

    /// The id, new if the schema is.
    pub(crate) fn register(
        &mut self,
        subject: &str,
        given: &Proposal,
        normalize: bool,
    ) -> Answer<usize> {
        let stored = self.stored(given, normalize)?;
        if let Ok((_, id)) = self.find_stored(subject, &stored) {
            return Ok(id);
        }
        if !self
            .is_compatible(subject, given, "latest")
            .or_else(|refusal| match refusal {
                Refusal::NoSubject(_) => Ok(true),
                other => Err(other),
            })?
        {
            return Err(Refusal::Incompatible(subject.to_owned()));
        }
        let same = |known: &Stored| (&known.form, known.kind) == (&stored.form, stored.kind);
        let id = match self.schemas.iter().position(same) {
            Some(index) => index + 1,
            None => {
                self.schemas.push(stored);
                self.schemas.len()
            }
        };
        self.subjects
            .entry(subject.to_owned())
            .or_default()
            .push(id);
        Ok(id)
    }

    /// Version and id of a schema the subject has.
    pub(crate) fn find(
        &self,
        subject: &str,
        given: &Proposal,
        normalize: bool,
    ) -> Answer<(usize, usize)> {
        self.versions(subject)?;
        let stored = self.stored(given, normalize)?;
        self.find_stored(subject, &stored)
    }

    pub(crate) fn is_compatible(
        &self,
        subject: &str,
        given: &Proposal,
        version: &str,
    ) -> Answer<bool> {
        let (_, id) = self.version(subject, version)?;
        let earlier = self.by_id(id)?;
        let stored = self.stored(given, false)?;
        let earlier = self.whole(earlier.kind, &earlier.text, &earlier.references)?;
        let new = self.whole(stored.kind, &stored.text, &stored.references)?;
        let is_free = self
            .levels
            .get(subject)
            .is_some_and(|level| level == "NONE");
        Ok(is_free || new.can_read(&earlier)?)
    }

    fn find_stored(&self, subject: &str, stored: &Stored) -> Answer<(usize, usize)> {
        let ids = self.versions(subject)?.iter().enumerate();
        let mut same = ids.filter(|(_, id)| {
            self.by_id(**id)
                .is_ok_and(|known| known.form == stored.form)
        });
        let (index, id) = same.next().ok_or(Refusal::NoSchema)?;
        Ok((index + 1, *id))
    }

    fn stored(&self, given: &Proposal, normalize: bool) -> Answer<Stored> {
        let kind = Kind::of(given.kind.as_deref())?;
        let references = given.references.clone().unwrap_or_default();
        let form = self
            .whole(kind, &given.schema, &references)?
            .checked(normalize)?;
        Ok(Stored {
            kind,
            text: given.schema.clone(),
            references,
            form,
        })
    }

    fn whole<'a>(&self, kind: Kind, text: &'a str, references: &[Reference]) -> Answer<Whole<'a>> {
        let mut uses = Vec::new();
        for reference in references {
            self.add_uses(reference, &mut uses)?;
        }
        Ok(Whole { kind, text, uses })
    }

    fn add_uses(&self, reference: &Reference, uses: &mut Vec<(String, String)>) -> Answer<()> {
        let version = reference.version.to_string();
        let found = self.version(&reference.subject, &version);
        let (_, id) =
            found.map_err(|_| Refusal::Invalid(format!("no reference found for {reference:?}")))?;
        let used = self.by_id(id)?;
        for inner in &used.references {
            self.add_uses(inner, uses)?;
        }
        if uses.iter().all(|(name, _)| *name != reference.name) {
            uses.push((reference.name.clone(), used.text.clone()));
        }
        Ok(())
    }
}
