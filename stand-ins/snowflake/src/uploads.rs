//! Credentials that PUT hands out, and the uploads that use them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, StagedFile};

/// The bucket that all stages are in.
const BUCKET: &str = "sfc-stages";

/// Leave to upload below one folder of one stage.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) bucket: &'static str,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) end_point: String,
    prefix: String,
    until: Instant,
}

#[derive(Debug)]
pub(crate) struct Uploads {
    grants: BTreeMap<String, Grant>,
    pub(crate) end_point: String,
    pub(crate) validity: Duration,
}

/// What an upload says of itself.
#[derive(Debug, Default)]
pub(crate) struct UploadRequest {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) authorization: String,
    pub(crate) token: String,
    pub(crate) content_sha256: String,
    /// `x-amz-meta-sfc-digest`
    pub(crate) digest: String,
}

/// Why an upload is refused, as S3 says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadRefusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
}

const fn refusal(status: u16, code: &'static str) -> UploadRefusal {
    UploadRefusal { status, code }
}

impl Uploads {
    pub(crate) fn new() -> Self {
        Self {
            grants: BTreeMap::new(),
            end_point: String::new(),
            validity: Duration::from_secs(3600),
        }
    }

    pub(crate) fn grant(&mut self, stage: &str, folder: &str) -> Grant {
        let key_id = format!("ASIA{:016X}", fastrand::u64(..));
        let grant = Grant {
            bucket: BUCKET,
            key_id: key_id.clone(),
            secret: format!("{:032x}", fastrand::u128(..)),
            token: format!("{:032x}", fastrand::u128(..)),
            end_point: self.end_point.clone(),
            prefix: format!("{stage}/{folder}"),
            until: Instant::now() + self.validity,
        };
        self.grants.insert(key_id, grant.clone());
        grant
    }

    /// Ends all leave given so far.
    pub(crate) fn expire(&mut self) {
        for grant in self.grants.values_mut() {
            grant.until = Instant::now();
        }
    }

    /// Puts a file where it belongs, if the request is in order.
    pub(crate) fn store(
        &self,
        catalog: &mut Catalog,
        request: &UploadRequest,
        content: Bytes,
    ) -> Result<(), UploadRefusal> {
        self.check(request)?;
        let digest = Sha256::digest(&content);
        let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if request.content_sha256 != hexadecimal && request.content_sha256 != "UNSIGNED-PAYLOAD" {
            return Err(refusal(400, "XAmzContentSHA256Mismatch"));
        }
        if request.digest != STANDARD.encode(digest) {
            return Err(refusal(400, "InvalidDigest"));
        }
        let (stage, path) = request
            .key
            .split_once('/')
            .ok_or(refusal(404, "NoSuchKey"))?;
        let stage = catalog
            .stages
            .get_mut(stage)
            .ok_or(refusal(404, "NoSuchBucket"))?;
        let file = StagedFile {
            content,
            digest: hexadecimal,
            modified: jiff::Timestamp::now(),
        };
        stage.files.insert(path.to_owned(), file);
        Ok(())
    }

    fn check(&self, request: &UploadRequest) -> Result<(), UploadRefusal> {
        let credential = request
            .authorization
            .split_once("Credential=")
            .and_then(|(_, rest)| rest.split('/').next())
            .ok_or(refusal(403, "AccessDenied"))?;
        let grant = self
            .grants
            .get(credential)
            .ok_or(refusal(403, "InvalidAccessKeyId"))?;
        if request.token != grant.token {
            return Err(refusal(403, "InvalidToken"));
        }
        if Instant::now() >= grant.until {
            return Err(refusal(400, "ExpiredToken"));
        }
        if request.bucket != BUCKET || !request.key.starts_with(&grant.prefix) {
            return Err(refusal(403, "AccessDenied"));
        }
        Ok(())
    }
}
