//! The S3 sink through its plugin interface, against an S3 server on a folder.

mod crash;
mod harness;
mod limits;
mod observed;

// Linked for the plugins they register.
use sluice_connector_s3 as _;
use sluice_converters as _;
