//! The pipelines that are known by name, and the files of connector-configs/ each is made of.

use anyhow::{Context, Result};

use crate::cli::output::{Table, print_text};

/// A pipeline: generators or other sources, topics, sinks.
#[derive(Debug)]
pub(super) struct Pipeline {
    #[cfg_attr(
        not(feature = "demo"),
        expect(dead_code, reason = "only the demo treats pipelines differently")
    )]
    pub(super) id: PipelineId,
    pub(super) name: &'static str,
    /// What it does, in one line.
    pub(super) about: &'static str,
    pub(super) sources: &'static [Part],
    pub(super) sinks: &'static [Part],
}

/// The pipelines, to be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipelineId {
    RetailSnowflake,
    Dealer,
    RetailS3,
    ApiPostgres,
}

/// A connector of a pipeline.
#[derive(Debug)]
pub(super) struct Part {
    /// The file that is used if no variant is asked for.
    pub(super) file: &'static str,
    /// Other files in its place, by the name that `--variant` has for them.
    pub(super) variants: &'static [(&'static str, &'static str)],
}

impl Part {
    const fn of(file: &'static str) -> Self {
        Self {
            file,
            variants: &[],
        }
    }

    /// All files that may stand in this place, the usual one first.
    pub(super) fn files(&self) -> impl Iterator<Item = &'static str> {
        let variants = self.variants.iter().map(|(_, file)| *file);
        std::iter::once(self.file).chain(variants)
    }
}

impl Pipeline {
    /// Sinks, then sources: the order in which they are started.
    pub(super) fn parts(&self) -> impl Iterator<Item = &'static Part> {
        self.sinks.iter().chain(self.sources)
    }

    /// The names of its variants.
    pub(super) fn variants(&self) -> Vec<&'static str> {
        let parts = self.parts();
        parts
            .flat_map(|part| part.variants.iter().map(|(name, _)| *name))
            .collect()
    }
}

/// All pipelines, in the order in which they are shown.
pub(super) const PIPELINES: &[Pipeline] = &[
    Pipeline {
        id: PipelineId::RetailSnowflake,
        name: "retail-snowflake",
        about: "retail sales → sales_events → a table of Snowflake",
        sources: &[Part::of("retail-sales-source.json")],
        sinks: &[Part {
            file: "snowflake_connector.json",
            variants: &[("password", "snowflake_connector_password.json")],
        }],
    },
    Pipeline {
        id: PipelineId::Dealer,
        name: "dealer",
        about: "a car dealer's six systems → six topics → S3 as CSV, and a warehouse in Postgres",
        sources: &[
            Part::of("dealer-sales-source.json"),
            Part::of("dealer-payments-source.json"),
            Part::of("dealer-interactions-source.json"),
            Part::of("dealer-inventory-source.json"),
            Part::of("dealer-procurement-source.json"),
            Part::of("dealer-telemetry-source.json"),
        ],
        sinks: &[
            Part::of("s3-sink-automotive-csv.json"),
            Part::of("postgres-sink-automotive.json"),
        ],
    },
    Pipeline {
        id: PipelineId::RetailS3,
        name: "retail-s3",
        about: "retail orders → sales_events → S3 as JSON lines, a folder a day",
        sources: &[Part::of("retail-orders-source.json")],
        sinks: &[Part {
            file: "s3-sink-sales.json",
            variants: &[("low-latency", "s3-sink-sales-low-latency.json")],
        }],
    },
    Pipeline {
        id: PipelineId::ApiPostgres,
        name: "api-postgres",
        about: "an HTTP API and CSV files → data-stream → a table of Postgres",
        sources: &[
            Part::of("http-source-users.json"),
            Part::of("csv-source.json"),
        ],
        sinks: &[Part::of("postgres-sink-data-stream.json")],
    },
];

/// The pipeline of this name.
pub(super) fn named(name: &str) -> Result<&'static Pipeline> {
    let found = PIPELINES.iter().find(|pipeline| pipeline.name == name);
    found.with_context(|| {
        let known: Vec<_> = PIPELINES.iter().map(|pipeline| pipeline.name).collect();
        format!("{name} is no pipeline; known are {}", known.join(", "))
    })
}

/// Shows them, a line each.
pub(super) fn list() {
    let mut table = Table::new(&["NAME", "WHAT IT DOES"]);
    for pipeline in PIPELINES {
        table.row(vec![pipeline.name.to_owned(), pipeline.about.to_owned()]);
    }
    table.print();
    print_text("\nsluice pipeline up|status|down|demo NAME\n");
}
