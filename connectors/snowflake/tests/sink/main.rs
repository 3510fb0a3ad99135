//! The Snowflake sink through its plugin interface, against the strict stand-in.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod crashes;
mod faults;
mod flushing;
mod harness;
mod keys;
mod logins;
mod proxies;
mod python;
mod ready_configs;
mod rows;
mod schematization;
mod setup;
mod zombies;

// Linked for the plugin it registers.
use sluice_connector_snowflake as _;
