//! The Postgres sink through its plugin interface, against a real server; read back with psql.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod delivery;
mod harness;
mod modes;
mod positions;
mod refusals;
mod tables;
mod tls;
mod types;

// Linked for the plugin it registers.
use sluice_connector_postgres as _;
