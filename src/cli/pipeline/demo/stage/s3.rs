//! S3: a server inside this process, its objects read back from its folder.

use std::path::Path;

use anyhow::{Context, Result};
use async_trait::async_trait;
use sluice_stand_in_s3::{S3Options, S3StandIn};

use super::Stage;
use crate::cli::local_s3::{StoredObject, objects};
use crate::cli::pipeline::demo::plan::{Origin, Stream};
use crate::cli::produce::{EventKind, text_field};
use crate::cli::ready_config::ReadyConfig;

/// The S3 server with the sink's bucket.
pub(in crate::cli::pipeline::demo) struct S3Stage {
    server: S3StandIn,
    bucket: String,
}

/// The events of an object.
pub(in crate::cli::pipeline::demo) struct ObjectEvents {
    pub(in crate::cli::pipeline::demo) ids: Vec<String>,
    pub(in crate::cli::pipeline::demo) appeared: std::time::SystemTime,
}

impl S3Stage {
    /// Starts a server below `folder` with the bucket that the sink writes to.
    pub(in crate::cli::pipeline::demo) async fn start(
        folder: &Path,
        sink: &ReadyConfig,
    ) -> Result<Self> {
        let bucket = sink.get("s3.bucket.name").context("s3.bucket.name")?;
        let server = S3StandIn::start(S3Options::local(folder.join("s3"), bucket)).await?;
        Ok(Self {
            server,
            bucket: bucket.to_owned(),
        })
    }

    /// The sink's config with this server's address.
    pub(in crate::cli::pipeline::demo) fn point(&self, sink: ReadyConfig) -> ReadyConfig {
        sink.with("store.url", self.server.url())
            .with("aws.access.key.id", "test")
            .with("aws.secret.access.key", "test-secret")
    }

    /// The stream's objects.
    pub(in crate::cli::pipeline::demo) async fn objects(
        &self,
        stream: &Stream,
    ) -> Result<Vec<ObjectEvents>> {
        let all = objects(self.server.folder(), &self.bucket).await?;
        let of_stream = all.into_iter().filter(|object| is_of(object, stream));
        of_stream.map(|object| events(&object, stream)).collect()
    }
}

/// The dealer's types have a folder each; elsewhere all objects are of the only stream.
fn is_of(object: &StoredObject, stream: &Stream) -> bool {
    match stream.origin {
        Origin::Generated(EventKind::Dealer(_)) => {
            object.key.split('/').next() == Some(stream.name.as_str())
        }
        _ => true,
    }
}

fn events(object: &StoredObject, stream: &Stream) -> Result<ObjectEvents> {
    let ids = if object.key.ends_with(".csv") {
        csv_ids(&object.content, stream.id_field())
    } else {
        json_ids(&object.content, stream.id_field())
    };
    Ok(ObjectEvents {
        ids: ids.with_context(|| format!("reading {}", object.key))?,
        appeared: object.appeared,
    })
}

fn csv_ids(content: &[u8], field: &str) -> Result<Vec<String>> {
    let mut reader = csv::Reader::from_reader(content);
    let column = reader.headers()?.iter().position(|name| name == field);
    let column = column.with_context(|| format!("no column {field}"))?;
    let rows = reader.records();
    rows.map(|row| Ok(row?.get(column).unwrap_or_default().to_owned()))
        .collect()
}

fn json_ids(content: &[u8], field: &str) -> Result<Vec<String>> {
    let lines = content.split(|byte| *byte == b'\n');
    let filled = lines.filter(|line| !line.is_empty());
    filled
        .map(|line| {
            let id = text_field(line, field);
            id.map(str::to_owned).context("a line without an id")
        })
        .collect()
}

#[async_trait]
impl Stage for S3Stage {
    fn name(&self) -> &'static str {
        "S3"
    }

    fn place(&self) -> String {
        let folder = self.server.folder().join(&self.bucket);
        format!("an S3 server inside this process, {}", folder.display())
    }

    async fn ids(&self, stream: &Stream) -> Result<Vec<String>> {
        let objects = self.objects(stream).await?;
        Ok(objects.into_iter().flat_map(|object| object.ids).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_lines_and_in_columns() {
        let csv = b"a,event_id,b\n\"x,\ny\",SALE-1,\n,SALE-2,z\n";
        assert_eq!(csv_ids(csv, "event_id").unwrap(), ["SALE-1", "SALE-2"]);
        assert!(csv_ids(b"a,b\n1,2\n", "event_id").is_err());
        let json = b"{\"order_id\":\"1\"}\n{\"order_id\":\"2\"}\n";
        assert_eq!(json_ids(json, "order_id").unwrap(), ["1", "2"]);
        assert!(json_ids(b"{}\n", "order_id").is_err());
    }
}
