//! The Snowflake sink through its plugin interface, against the strict stand-in.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod crashes;
mod faults;
mod flushing;
mod harness;
mod keys;
mod logins;
mod python;
mod rows;
mod schematization;
mod setup;
mod zombies;

// Linked for the plugin it registers.
use sluice_connector_snowflake as _;
