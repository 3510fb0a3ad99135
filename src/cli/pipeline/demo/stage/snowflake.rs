//! Snowflake's stand-in inside this process.

use anyhow::{Context, Result};
use async_trait::async_trait;
use serde_json::Value;
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use super::Stage;
use crate::cli::pipeline::demo::plan::Stream;
use crate::cli::ready_config::ReadyConfig;

/// The stand-in with the sink's table.
pub(in crate::cli::pipeline::demo) struct SnowflakeStage {
    server: SnowflakeStandIn,
    table: String,
}

impl SnowflakeStage {
    /// Starts an account with the database, schema, role and warehouse that the sink names.
    pub(in crate::cli::pipeline::demo) async fn start(sink: &ReadyConfig) -> Result<Self> {
        let named = |key: &str| {
            let name = sink.get(key).with_context(|| format!("{key} is missing"))?;
            anyhow::Ok(name.to_uppercase())
        };
        let mut options = SnowflakeOptions::local(None);
        options.database = named("snowflake.database.name")?;
        options.schema = named("snowflake.schema.name")?;
        options.warehouses = vec![named("snowflake.warehouse.name")?];
        let role = named("snowflake.role.name")?;
        for user in &mut options.users {
            user.roles = vec![role.clone()];
            user.default_warehouse = options.warehouses.first().cloned();
        }
        let map = sink.get("snowflake.topic2table.map").unwrap_or_default();
        let table = map.split(':').nth(1).unwrap_or("SALES_EVENTS");
        Ok(Self {
            server: SnowflakeStandIn::start(options).await?,
            table: table.to_uppercase(),
        })
    }

    /// The sink's config with this account's address and login.
    pub(in crate::cli::pipeline::demo) fn point(&self, sink: ReadyConfig) -> ReadyConfig {
        sink.with("snowflake.url.name", self.server.url())
            .with("snowflake.account.name", "testaccount")
            .with("snowflake.user.name", "loader")
            .with("snowflake.password", "test-secret")
    }
}

#[async_trait]
impl Stage for SnowflakeStage {
    fn name(&self) -> &'static str {
        "Snowflake"
    }

    fn place(&self) -> String {
        format!(
            "table {} of a stand-in inside this process, not of Snowflake; it forgets all at the end",
            self.table
        )
    }

    async fn ids(&self, stream: &Stream) -> Result<Vec<String>> {
        if !self.server.tables().contains(&self.table) {
            return Ok(Vec::new());
        }
        let field = stream.id_field();
        let sql = format!("SELECT RECORD_CONTENT:{field} FROM {}", self.table);
        let rows = self.server.sql(&sql)?;
        Ok(rows.iter().filter_map(|row| row.first()).map(id).collect())
    }
}

/// A VARIANT that holds text is spelled as JSON: in quotes.
fn id(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    text.trim_matches('"').to_owned()
}
