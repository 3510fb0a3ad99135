//! Where the demo's events go: S3, or Snowflake's stand-in.

use std::path::Path;

use anyhow::{Context, Result};
use sluice_stand_in_s3::S3StandIn;
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use super::s3;
use crate::cli::local_s3;

const BUCKET: &str = "bronze";
const TABLE: &str = "SALES_EVENTS";

/// A server inside this process that the sink writes to.
pub(super) enum Target {
    S3(S3StandIn),
    Snowflake(Box<SnowflakeStandIn>),
}

/// What the target holds.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) events: i64,
    /// One line per thing that can be looked at.
    pub(super) things: Vec<String>,
}

impl Target {
    /// S3 below `dir/s3`; goes on with what is there.
    pub(super) async fn s3(dir: &Path) -> Result<Self> {
        Ok(Self::S3(s3::start(dir, BUCKET).await?))
    }

    /// Snowflake's stand-in, which keeps its tables in memory.
    pub(super) async fn snowflake() -> Result<Self> {
        let server = SnowflakeStandIn::start(SnowflakeOptions::local(None)).await?;
        Ok(Self::Snowflake(Box::new(server)))
    }

    /// The ready config of the sink.
    pub(super) fn sink(&self) -> &'static str {
        match self {
            Self::S3(_) => include_str!("../../../connector-configs/demo-s3-sink-sales.json"),
            Self::Snowflake(_) => {
                include_str!("../../../connector-configs/demo-snowflake-sink-sales.json")
            }
        }
    }

    /// The sink's name in it.
    pub(super) fn sink_name(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3-sink-sales",
            Self::Snowflake(_) => "snowflake-sink-sales",
        }
    }

    /// What the ready config needs to find this server.
    pub(super) fn address(&self) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        match self {
            Self::S3(server) => vec![
                ("store.url", server.url()),
                ("aws.access.key.id", text("test")),
                ("aws.secret.access.key", text("test-secret")),
            ],
            Self::Snowflake(server) => vec![
                ("snowflake.url.name", server.url()),
                ("snowflake.password", text("test-secret")),
            ],
        }
    }

    /// What stands at the end of the line `generator → topic → …`.
    pub(super) fn place(&self) -> String {
        match self {
            Self::S3(server) => format!("S3 sink → {}/{BUCKET}", server.folder().display()),
            Self::Snowflake(_) => format!(
                "Snowflake sink → table {TABLE} of a stand-in inside this process, not of Snowflake; it forgets all at the end"
            ),
        }
    }

    /// Counts anew.
    pub(super) async fn arrived(&self) -> Result<Arrived> {
        match self {
            Self::S3(server) => lines_in(server.folder()).await,
            Self::Snowflake(server) => rows_in(server),
        }
    }

    /// What to try next, besides the REST API.
    pub(super) fn look(&self) -> Option<String> {
        match self {
            Self::S3(server) => {
                let folder = server.folder().join(BUCKET);
                let folder = folder.display();
                Some(format!(
                    "head -n 2 $(find {folder} -name '*.json' | head -n 1)"
                ))
            }
            Self::Snowflake(_) => None,
        }
    }
}

async fn lines_in(folder: &Path) -> Result<Arrived> {
    let (mut events, mut things) = (0, Vec::new());
    for object in local_s3::objects(folder, BUCKET).await? {
        let (key, content) = (&object.key, &object.content);
        events += i64::try_from(content.iter().filter(|byte| **byte == b'\n').count())?;
        things.push(format!("s3://{BUCKET}/{key}  {} bytes", content.len()));
    }
    Ok(Arrived { events, things })
}

fn rows_in(server: &SnowflakeStandIn) -> Result<Arrived> {
    let mut arrived = Arrived {
        events: 0,
        things: Vec::new(),
    };
    if server.tables().iter().any(|table| table == TABLE) {
        let counted = server.sql(&format!("SELECT COUNT(*) FROM {TABLE}"))?;
        let count = counted.first().and_then(|row| row.first());
        let count = count.context("COUNT gives a row")?;
        let text = count
            .as_str()
            .map_or_else(|| count.to_string(), str::to_owned);
        arrived.events = text.parse().with_context(|| format!("COUNT gave {text}"))?;
        arrived.things.push(format!("table {TABLE}"));
    }
    Ok(arrived)
}
