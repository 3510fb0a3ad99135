//! The connectors of a pipeline: ready configs, which are part of this binary, with what the user changes in them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::catalog::{Part, Pipeline};
use crate::cli::ready_config::ReadyConfig;

/// Which connectors are meant.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Selection {
    /// A folder with files that take the place of the ready configs of the same name
    #[arg(long, value_name = "DIR")]
    pub(super) configs: Option<PathBuf>,
    /// Leave out a connector; may be repeated
    #[arg(long, value_name = "CONNECTOR")]
    pub(super) without: Vec<String>,
}

/// What is changed in the ready configs.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Changes {
    /// An option of a connector: s3-sink-sales.store.url=http://localhost:9000; may be repeated
    #[arg(long = "set", value_name = "CONNECTOR.KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Another ready config in the place of the usual one: `password` (retail-snowflake), `low-latency` (retail-s3)
    #[arg(long)]
    pub(super) variant: Option<String>,
}

/// The connectors of a pipeline.
#[derive(Debug, Clone)]
pub(super) struct Connectors {
    pub(super) sources: Vec<ReadyConfig>,
    pub(super) sinks: Vec<ReadyConfig>,
}

impl Connectors {
    /// The pipeline's connectors, changed.
    pub(super) fn of(
        pipeline: &Pipeline,
        selection: &Selection,
        changes: &Changes,
    ) -> Result<Self> {
        let variant = known_variant(pipeline, changes)?;
        let read = |parts: &[Part]| -> Result<Vec<_>> {
            let files = parts.iter().map(|part| file_of(part, variant));
            files
                .map(|file| ready(selection.configs.as_deref(), file))
                .collect()
        };
        let mut connectors = Self {
            sources: read(pipeline.sources)?,
            sinks: read(pipeline.sinks)?,
        };
        for name in &selection.without {
            connectors.check_name("--without", name)?;
        }
        for setting in &changes.set {
            connectors.change(setting)?;
        }
        let wanted = |connector: &ReadyConfig| !selection.without.contains(&connector.name);
        connectors.sources.retain(wanted);
        connectors.sinks.retain(wanted);
        Ok(connectors)
    }

    /// Sinks, then sources: the order in which they are started.
    pub(super) fn all(&self) -> impl Iterator<Item = &ReadyConfig> {
        self.sinks.iter().chain(&self.sources)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut ReadyConfig> {
        self.sinks.iter_mut().chain(&mut self.sources)
    }

    fn check_name(&self, flag: &str, name: &str) -> Result<()> {
        if self.all().any(|connector| connector.name == name) {
            return Ok(());
        }
        let known: Vec<_> = self
            .all()
            .map(|connector| connector.name.as_str())
            .collect();
        bail!("{flag} {name}: must be one of {}", known.join(", "))
    }

    /// Takes `connector.key=value`.
    pub(super) fn change(&mut self, setting: &str) -> Result<()> {
        let (path, value) = setting
            .split_once('=')
            .with_context(|| format!("--set {setting}: must be CONNECTOR.KEY=VALUE"))?;
        let in_this = |connector: &ReadyConfig| {
            let key = path.strip_prefix(&connector.name)?.strip_prefix('.')?;
            (!key.is_empty()).then(|| key.to_owned())
        };
        for connector in self.all_mut() {
            if let Some(key) = in_this(connector) {
                connector.config.insert(key, value.to_owned());
                return Ok(());
            }
        }
        let name = path.split('.').next().unwrap_or_default();
        self.check_name(&format!("--set {setting}:"), name)?;
        bail!("--set {setting}: must be CONNECTOR.KEY=VALUE")
    }
}

/// The names of all connectors that may stand in a place of the pipeline, the usual one first.
pub(super) fn names(part: &Part, configs: Option<&Path>) -> Result<Vec<String>> {
    let files = part.files();
    files.map(|file| Ok(ready(configs, file)?.name)).collect()
}

fn known_variant<'a>(pipeline: &Pipeline, changes: &'a Changes) -> Result<Option<&'a str>> {
    let Some(variant) = changes.variant.as_deref() else {
        return Ok(None);
    };
    let (name, known) = (pipeline.name, pipeline.variants());
    if known.is_empty() {
        bail!("--variant {variant}: {name} has no variants");
    }
    if !known.contains(&variant) {
        bail!("--variant {variant}: {name} has {}", known.join(", "));
    }
    Ok(Some(variant))
}

fn file_of(part: &Part, variant: Option<&str>) -> &'static str {
    let mut variants = part.variants.iter();
    let other = variants.find(|(name, _)| Some(*name) == variant);
    other.map_or(part.file, |(_, file)| file)
}

/// A ready config: the folder's file if it has one, else the one in this binary.
fn ready(folder: Option<&Path>, file: &str) -> Result<ReadyConfig> {
    let own = folder.map(|folder| folder.join(file));
    if let Some(own) = own.filter(|own| own.exists()) {
        return ReadyConfig::read(&own);
    }
    let (_, text) = READY
        .iter()
        .find(|(name, _)| *name == file)
        .with_context(|| format!("{file} is not in this binary"))?;
    ReadyConfig::parse(file, text)
}

/// Files of connector-configs/ with their names.
macro_rules! ready_files {
    ($($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../../connector-configs/", $file)))),+]
    };
}

const READY: &[(&str, &str)] = ready_files![
    "retail-sales-source.json",
    "retail-orders-source.json",
    "snowflake_connector.json",
    "snowflake_connector_password.json",
    "s3-sink-sales.json",
    "s3-sink-sales-low-latency.json",
    "dealer-sales-source.json",
    "dealer-payments-source.json",
    "dealer-interactions-source.json",
    "dealer-inventory-source.json",
    "dealer-procurement-source.json",
    "dealer-telemetry-source.json",
    "s3-sink-automotive-csv.json",
    "postgres-sink-automotive.json",
    "http-source-users.json",
    "csv-source.json",
    "postgres-sink-data-stream.json",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::pipeline::catalog::{PIPELINES, named};

    fn chosen(pipeline: &str, selection: &Selection, changes: &Changes) -> Result<Connectors> {
        Connectors::of(named(pipeline).unwrap(), selection, changes)
    }

    fn refusal(pipeline: &str, changes: &Changes) -> String {
        let chosen = chosen(pipeline, &Selection::default(), changes);
        chosen.unwrap_err().to_string()
    }

    fn set(setting: &str) -> Changes {
        Changes {
            set: vec![setting.to_owned()],
            variant: None,
        }
    }

    fn variant(name: &str) -> Changes {
        Changes {
            set: Vec::new(),
            variant: Some(name.to_owned()),
        }
    }

    #[test]
    fn every_file_of_every_pipeline_is_in_the_binary_under_a_name_of_its_own() {
        for pipeline in PIPELINES {
            let mut seen = Vec::new();
            for part in pipeline.parts() {
                seen.push(names(part, None).unwrap().remove(0));
            }
            let all = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all, "{}", pipeline.name);
        }
    }

    #[test]
    fn options_are_set_and_connectors_left_out_by_name() {
        let selection = Selection {
            without: vec!["postgres-sink-automotive".to_owned()],
            configs: None,
        };
        let changes = set("s3-sink-automotive-csv.store.url=http://localhost:9000?a=b");
        let connectors = chosen("dealer", &selection, &changes).unwrap();
        let [sink] = connectors.sinks.as_slice() else {
            panic!("{connectors:?}");
        };
        assert_eq!(sink.get("store.url"), Some("http://localhost:9000?a=b"));
        assert_eq!(connectors.sources.len(), 6);
    }

    #[test]
    fn a_variant_takes_the_place_of_the_usual_file() {
        let changes = variant("low-latency");
        let connectors = chosen("retail-s3", &Selection::default(), &changes).unwrap();
        let [sink] = connectors.sinks.as_slice() else {
            panic!("{connectors:?}");
        };
        assert_eq!(sink.get("flush.size"), Some("100"));
    }

    #[test]
    fn a_folder_s_file_wins_over_the_one_in_the_binary() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"name": "own-sink", "config": {"topics": "t"}}"#;
        std::fs::write(folder.path().join("s3-sink-sales.json"), text).unwrap();
        let selection = Selection {
            configs: Some(folder.path().to_owned()),
            without: Vec::new(),
        };
        let connectors = chosen("retail-s3", &selection, &Changes::default()).unwrap();
        let named: Vec<_> = connectors.all().map(|one| one.name.as_str()).collect();
        assert_eq!(named, ["own-sink", "retail-orders-source"]);
    }

    #[test]
    fn wrong_names_are_refused_with_the_right_ones() {
        for setting in ["s3-sink.store.url=x", "s3-sink-sales=x"] {
            let said = refusal("retail-s3", &set(setting));
            assert!(said.contains("s3-sink-sales"), "{said}");
        }
        let said = refusal("retail-s3", &set("s3-sink-sales.store.url"));
        assert!(said.contains("CONNECTOR.KEY=VALUE"), "{said}");
        let said = refusal("retail-s3", &variant("x"));
        assert!(said.contains("low-latency"), "{said}");
        let said = refusal("dealer", &variant("x"));
        assert!(said.contains("no variants"), "{said}");
        assert!(
            named("x")
                .unwrap_err()
                .to_string()
                .contains("retail-s3, api-postgres")
        );
    }
}
