//! A strict Snowflake for tests and demos: the REST protocol of the drivers, and the SQL that stage and COPY need.
//!
//! One account, one database, one schema, in memory. What it does not know it refuses, with Snowflake's codes. It is not
//! meant for data that matters, and it proves only that a client keeps to what is publicly known of the protocol.

mod catalog;
mod error;
mod faults;
mod http;
mod login;
mod run;
mod server;
mod session;
mod sql;
mod transaction;
mod types;
mod uploads;
mod value;
mod world;

pub use faults::{Fault, Faults, Point};
pub use server::SnowflakeStandIn;
pub use world::{SnowflakeOptions, User};
