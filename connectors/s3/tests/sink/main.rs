//! The S3 sink through its plugin interface, against an S3 server on a folder.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod crash;
mod csv_objects;
mod harness;
mod limits;
mod names;
mod observed;

// Linked for the plugins they register.
use sluice_connector_s3 as _;
use sluice_converters as _;
