//! Dry runs: what they show is what a run then writes, and after one nothing has changed.

mod command;
mod hostile;
mod postgres;
mod s3;
mod snowflake;
mod sources;
mod world;
