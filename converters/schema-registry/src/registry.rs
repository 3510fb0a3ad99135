//! Schemas of a registry with everything they use.

use std::collections::BTreeSet;

use connect_core::{Error, Result};

use crate::client::{Client, Reference, StoredSchema};

/// A schema may use this many others, directly or not.
const MOST_REFERENCES: usize = 200;

/// A schema with the schemas it uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Its text.
    pub(crate) text: String,
    /// The name and text of each schema it uses: what another one of them uses stands before it.
    pub(crate) imports: Vec<(String, String)>,
}

impl Resolved {
    /// A schema that uses no others.
    pub(crate) fn alone(text: String) -> Self {
        Self {
            text,
            imports: Vec::new(),
        }
    }
}

/// Fetches what a schema uses.
///
/// # Errors
/// A data error if the schema is of another kind than `kind`, or uses too many others.
pub(crate) async fn resolve(client: &Client, kind: &str, stored: StoredSchema) -> Result<Resolved> {
    let found = stored.kind.as_deref().unwrap_or("AVRO");
    if found != kind {
        return Err(Error::data(format!(
            "the schema is of type {found}, not {kind}"
        )));
    }
    let mut known = BTreeSet::new();
    let mut imports = Vec::new();
    // What is still to be fetched, and what goes to the imports once those it uses are there.
    let mut stack: Vec<Step> = steps(stored.references);
    while let Some(step) = stack.pop() {
        match step {
            Step::Add(name, text) => imports.push((name, text)),
            Step::Fetch(reference) if known.contains(&reference.name) => {}
            Step::Fetch(reference) => {
                known.insert(reference.name.clone());
                if known.len() > MOST_REFERENCES {
                    return Err(Error::data(format!(
                        "the schema uses more than {MOST_REFERENCES} others"
                    )));
                }
                let version = reference.version.to_string();
                let used = client.version(&reference.subject, &version).await?;
                stack.push(Step::Add(reference.name, used.schema));
                stack.extend(steps(used.references));
            }
        }
    }
    Ok(Resolved {
        text: stored.schema,
        imports,
    })
}

enum Step {
    Fetch(Reference),
    Add(String, String),
}

fn steps(references: Option<Vec<Reference>>) -> Vec<Step> {
    let references = references.unwrap_or_default().into_iter().rev();
    references.map(Step::Fetch).collect()
}
