//! PUT, GET, LIST, REMOVE.

use serde_json::json;

use super::{Answer, INTEGER, StatementKind, TEXT};
use crate::catalog::{Catalog, Stage};
use crate::error::{Refusal, Result};
use crate::session::Session;
use crate::sql::ast::StagePath;
use crate::uploads::Uploads;
use crate::value::Value;

fn stage<'a>(
    catalog: &'a Catalog,
    session: &Session,
    path: &StagePath,
) -> Result<(String, &'a Stage)> {
    let name = session.resolve(&path.stage)?;
    let stage = catalog.stages.get(&name);
    let stage = stage.ok_or_else(|| Refusal::missing("Stage", &name))?;
    Ok((name, stage))
}

/// Answers with where to upload to; the upload itself comes over HTTP, as to S3.
pub(super) fn put(
    catalog: &Catalog,
    session: &Session,
    uploads: &mut Uploads,
    file: &str,
    to: &StagePath,
    overwrite: bool,
) -> Result<Answer> {
    let (name, _) = stage(catalog, session, to)?;
    session.may_write("stage", &name)?;
    let folder = to.path.trim_end_matches('/');
    let folder = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let grant = uploads.grant(&name, &folder);
    let mut answer = Answer::status(StatementKind::Put, "");
    answer.upload = Some(json!({
        "uploadInfo": null,
        "src_locations": [file.trim_start_matches("file://")],
        "parallel": 4,
        "threshold": 209_715_200,
        "autoCompress": false,
        "overwrite": overwrite,
        "sourceCompression": "gzip",
        "clientShowEncryptionParameter": true,
        "encryptionMaterial": null,
        "queryId": "",
        "command": "UPLOAD",
        "kind": null,
        "operation": "Node",
        "statementTypeId": StatementKind::Put.id(),
        "stageInfo": {
            "locationType": "S3",
            "location": format!("{}/{}/{folder}", grant.bucket, name),
            "path": format!("{name}/{folder}"),
            "region": "us-east-1",
            "storageAccount": null,
            "isClientSideEncrypted": false,
            "creds": {
                "AWS_KEY_ID": grant.key_id,
                "AWS_SECRET_KEY": grant.secret,
                "AWS_TOKEN": grant.token,
                "AWS_ID": grant.key_id,
                "AWS_KEY": grant.secret,
            },
            "presignedUrl": null,
            "endPoint": grant.end_point,
        },
    }));
    Ok(answer)
}

pub(super) fn list(catalog: &Catalog, session: &Session, path: &StagePath) -> Result<Answer> {
    let (name, stage) = stage(catalog, session, path)?;
    let rows = stage
        .files
        .iter()
        .filter(|(file, _)| file.starts_with(&path.path))
        .map(|(file, staged)| {
            vec![
                Value::text(format!("{}/{file}", name.to_lowercase())),
                Value::integer(i64::try_from(staged.content.len()).unwrap_or(i64::MAX)),
                Value::text(staged.digest.as_str()),
                Value::text(staged.modified.to_string()),
            ]
        });
    let columns = [
        ("name", TEXT),
        ("size", INTEGER),
        ("md5", TEXT),
        ("last_modified", TEXT),
    ];
    Ok(Answer::new(StatementKind::Select, &columns, rows.collect()))
}

pub(super) fn remove(catalog: &mut Catalog, session: &Session, path: &StagePath) -> Result<Answer> {
    let (name, _) = stage(catalog, session, path)?;
    session.may_write("stage", &name)?;
    let mut removed = Vec::new();
    if let Some(stage) = catalog.stages.get_mut(&name) {
        stage.files.retain(|file, _| {
            let gone = file.starts_with(&path.path);
            if gone {
                removed.push(vec![
                    Value::text(format!("{}/{file}", name.to_lowercase())),
                    Value::text("removed"),
                ]);
            }
            !gone
        });
    }
    let columns = [("name", TEXT), ("result", TEXT)];
    Ok(Answer::new(StatementKind::Select, &columns, removed))
}
