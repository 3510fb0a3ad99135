//! The demo's S3 server: at the port it had last time, for the stored connector knows it by that.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use sluice_stand_in_s3::{S3Options, S3StandIn};

/// The file that keeps the port.
const PORT_FILE: &str = "s3.port";

/// Starts the server on `dir/s3`.
pub(super) async fn start(dir: &Path, bucket: &str) -> Result<S3StandIn> {
    let port_file = dir.join(PORT_FILE);
    let remembered = std::fs::read_to_string(&port_file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let server = match remembered {
        Some(port) => match listen(dir, bucket, port).await {
            Ok(server) => Ok(server),
            Err(_taken) => listen(dir, bucket, 0).await,
        },
        None => listen(dir, bucket, 0).await,
    };
    let unusable = || {
        format!(
            "{} cannot be used: choose another folder with --dir",
            dir.display()
        )
    };
    let server = server.with_context(unusable)?;
    std::fs::write(&port_file, server.address().port().to_string()).with_context(unusable)?;
    Ok(server)
}

async fn listen(dir: &Path, bucket: &str, port: u16) -> connect_core::Result<S3StandIn> {
    let options = S3Options {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        ..S3Options::local(dir.join("s3"), bucket)
    };
    S3StandIn::start(options).await
}
