//! A wrong client is refused as Snowflake would refuse it: without these tests the sink's tests would prove little.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod client;
mod driver;
mod files;
mod loads;
mod locks;
mod logins;
mod sessions;
mod statements;
mod transactions;
