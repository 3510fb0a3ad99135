//! The requests to S3, and what their failures mean.

mod failure;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, ObjectCannedAcl, ServerSideEncryption,
};
use bytes::Bytes;
use connect_core::{Error, Result};

use self::failure::{failed, is_taken, knows_no_conditions, status};
use crate::config::{BucketOptions, Encryption};
use crate::origin::Origin;

/// One try of a request may take this long.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where an object goes.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) key: String,
    /// Where its first record comes from: an object of the same name that comes from elsewhere is not overwritten. `None`:
    /// the key alone says it.
    pub(crate) origin: Option<Origin>,
}

/// A bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    client: Client,
    options: BucketOptions,
    /// Where it is, for messages.
    server: String,
}

impl Bucket {
    pub(crate) async fn open(options: &BucketOptions) -> Self {
        let retries = RetryConfig::standard()
            .with_max_attempts(options.part_retries.max(1))
            .with_initial_backoff(options.part_retry_backoff);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(options.region.clone()))
            .retry_config(retries)
            .timeout_config(timeouts);
        if let Some(secret) = options
            .secret_access_key
            .as_ref()
            .filter(|_| !options.access_key_id.is_empty())
        {
            let credentials = Credentials::new(
                &options.access_key_id,
                secret.expose(),
                None,
                None,
                "connector config",
            );
            loader = loader.credentials_provider(credentials);
        }
        let shared = loader.load().await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(options.path_style)
            // The signature covers the content; another checksum would cost CPU for nothing.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(url) = &options.store_url {
            config = config.endpoint_url(url);
        }
        Self {
            client: Client::from_conf(config.build()),
            options: options.clone(),
            server: server(options, shared.endpoint_url()),
        }
    }

    /// Looks whether the bucket is there. Refused or elsewhere counts as there, as in the original.
    pub(crate) async fn check(&self) -> Result<()> {
        let name = &self.options.bucket;
        let answer = self.client.head_bucket().bucket(name).send().await;
        let Err(error) = answer else {
            return Ok(());
        };
        match status(&error) {
            Some(301 | 403) => Ok(()),
            Some(404) => {
                let server = &self.server;
                Err(Error::config(format!(
                    "Non-existent S3 bucket {name} at {server}: make it, or correct s3.bucket.name"
                )))
            }
            _ => Err(failed("find bucket", name, error)),
        }
    }

    /// Writes a whole object.
    pub(crate) async fn put(&self, destination: &Destination, body: Bytes) -> Result<()> {
        if let Some(origin) = &destination.origin {
            let request = self.put_request(destination, body.clone());
            match request.if_none_match("*").send().await {
                Err(error) if is_taken(&error) || knows_no_conditions(&error) => {
                    self.check_origin(&destination.key, origin).await?;
                }
                Err(error) => return Err(failed("upload", &destination.key, error)),
                Ok(_) => return Ok(()),
            }
        }
        let answer = self.put_request(destination, body).send().await;
        answer
            .map(|_| ())
            .map_err(|error| failed("upload", &destination.key, error))
    }

    fn put_request(&self, destination: &Destination, body: Bytes) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&self.options.bucket)
            .key(&destination.key)
            .body(ByteStream::from(body))
            .set_metadata(destination.metadata())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key())
            .set_acl(self.acl())
    }

    /// An error if there is an object of this name that comes from elsewhere.
    async fn check_origin(&self, key: &str, origin: &Origin) -> Result<()> {
        let Some(head) = self.head(key).await? else {
            return Ok(());
        };
        let theirs = head.metadata().and_then(Origin::from_metadata);
        if theirs.as_ref().is_some_and(|theirs| theirs.is_same(origin)) {
            return Ok(());
        }
        let theirs = theirs.map_or_else(|| "elsewhere".to_owned(), |theirs| theirs.to_string());
        Err(Error::config(format!(
            "the name is taken by an object from {theirs}, this one is from {origin}: file.name.template, topics.dir or the topics must tell them apart"
        ))
        .operation("upload")
        .target(key))
    }

    /// Begins an object in parts; nobody sees it before [`Bucket::complete`].
    pub(crate) async fn begin(&self, destination: &Destination) -> Result<String> {
        let key = &destination.key;
        let answer = self
            .client
            .create_multipart_upload()
            .bucket(&self.options.bucket)
            .key(key)
            .set_metadata(destination.metadata())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key())
            .set_acl(self.acl())
            .send()
            .await
            .map_err(|error| failed("begin upload", key, error))?;
        answer.upload_id.ok_or_else(|| {
            Error::external("S3 gave no upload id")
                .operation("begin upload")
                .target(key)
        })
    }

    /// Sends a part. A conflict says that S3 knows the upload no longer: the records must be read again.
    pub(crate) async fn part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        body: Bytes,
    ) -> Result<CompletedPart> {
        let answer = self
            .client
            .upload_part()
            .bucket(&self.options.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| match error.code() {
                Some("NoSuchUpload") => parts_gone("upload part", key).source(error),
                _ => failed("upload part", key, error),
            })?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .build())
    }

    /// Makes an object of `size` bytes of its parts.
    ///
    /// An upload that S3 no longer knows was completed before, by a request whose answer was lost, if the object is
    /// there; else its parts are gone and a conflict says so: the records must be read again.
    pub(crate) async fn complete(
        &self,
        destination: &Destination,
        upload: &str,
        parts: Vec<CompletedPart>,
        size: u64,
    ) -> Result<()> {
        let key = &destination.key;
        if let Some(origin) = &destination.origin {
            self.check_origin(key, origin).await?;
        }
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let answer = self
            .client
            .complete_multipart_upload()
            .bucket(&self.options.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchUpload") => {
                let length = self.head(key).await?.and_then(|head| head.content_length);
                if length.and_then(|length| u64::try_from(length).ok()) == Some(size) {
                    return Ok(());
                }
                Err(parts_gone("complete upload", key).source(error))
            }
            Err(error) => Err(failed("complete upload", key, error)),
        }
    }

    /// True if there is an object of this key.
    pub(crate) async fn has(&self, key: &str) -> Result<bool> {
        Ok(self.head(key).await?.is_some())
    }

    /// What S3 says of an object; `None` if it is not there.
    async fn head(&self, key: &str) -> Result<Option<HeadObjectOutput>> {
        let request = self.client.head_object();
        let answer = request.bucket(&self.options.bucket).key(key).send().await;
        match answer {
            Ok(head) => Ok(Some(head)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed("look at", key, error)),
        }
    }

    /// Drops an object's parts.
    pub(crate) async fn abort(&self, key: &str, upload: &str) -> Result<()> {
        self.client
            .abort_multipart_upload()
            .bucket(&self.options.bucket)
            .key(key)
            .upload_id(upload)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| failed("abort upload", key, error))
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        match self.options.encryption {
            Encryption::None => None,
            Encryption::Aes256 => Some(ServerSideEncryption::Aes256),
            Encryption::Kms => Some(ServerSideEncryption::AwsKms),
        }
    }

    fn kms_key(&self) -> Option<String> {
        (self.options.encryption == Encryption::Kms && !self.options.kms_key_id.is_empty())
            .then(|| self.options.kms_key_id.clone())
    }

    fn acl(&self) -> Option<ObjectCannedAcl> {
        self.options
            .canned_acl
            .as_deref()
            .map(ObjectCannedAcl::from)
    }
}

/// Where requests go: to the connector's `store.url`, else to what the worker's environment names in place of AWS.
fn server(options: &BucketOptions, of_environment: Option<&str>) -> String {
    let own = options.store_url.clone();
    let for_s3 = || std::env::var("AWS_ENDPOINT_URL_S3").ok();
    let for_all = || of_environment.map(str::to_owned);
    let server = own.or_else(for_s3).or_else(for_all);
    server.unwrap_or_else(|| "AWS".to_owned())
}

fn parts_gone(operation: &str, key: &str) -> Error {
    Error::conflict("the parts sent are gone from S3")
        .operation(operation)
        .target(key)
}

impl Destination {
    fn metadata(&self) -> Option<HashMap<String, String>> {
        self.origin.as_ref().map(Origin::to_metadata)
    }
}

#[cfg(test)]
mod tests;
