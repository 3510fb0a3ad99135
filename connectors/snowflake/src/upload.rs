//! Files into a stage: to where PUT says, as the drivers do it.
//!
//! Stages are made with server-side encryption, so files go as they are. A stage in Azure or Google Cloud is refused.

use std::sync::OnceLock;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::Error;
use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::error::SnowflakeError;

type Result<T, E = SnowflakeError> = std::result::Result<T, E>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StageInfo {
    location_type: String,
    location: String,
    region: Option<String>,
    end_point: Option<String>,
    creds: StageCredentials,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct StageCredentials {
    #[serde(default)]
    aws_key_id: String,
    #[serde(default)]
    aws_secret_key: String,
    aws_token: Option<String>,
}

/// Where files of one folder go.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    client: aws_sdk_s3::Client,
    bucket: String,
    prefix: String,
}

/// Why an upload did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadFailure {
    /// The credentials have expired: PUT gives new ones.
    Expired,
    /// Anything else.
    Other,
}

impl Destination {
    /// Reads the reply to PUT.
    ///
    /// # Errors
    /// A place that is not supported.
    pub(crate) fn of(reply: &Json) -> Result<Self> {
        let unsupported = |text: String| SnowflakeError::Known(Error::config(text));
        if reply.get("encryptionMaterial").is_some_and(is_material) {
            let text = "the stage asks for client-side encryption; it must have ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')";
            return Err(unsupported(text.to_owned()));
        }
        let info = reply.get("stageInfo").cloned().unwrap_or_default();
        let info: StageInfo = serde_json::from_value(info)
            .map_err(|cause| SnowflakeError::Protocol(format!("reply to PUT: {cause}")))?;
        if info.location_type != "S3" {
            let text = format!(
                "stages in {} are not supported, only those of accounts on AWS",
                info.location_type
            );
            return Err(unsupported(text));
        }
        let (bucket, prefix) = info
            .location
            .split_once('/')
            .unwrap_or((&info.location, ""));
        let (bucket, mut prefix) = (bucket.to_owned(), prefix.to_owned());
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Ok(Self {
            client: client(info),
            bucket,
            prefix,
        })
    }

    /// Uploads a file of the folder.
    ///
    /// # Errors
    /// What S3 says, and whether new credentials may help.
    pub(crate) async fn upload(
        &self,
        name: &str,
        content: Bytes,
    ) -> Result<(), (UploadFailure, SnowflakeError)> {
        let digest = STANDARD.encode(Sha256::digest(&content));
        let sent = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(format!("{}{name}", self.prefix))
            .content_type("application/octet-stream")
            .metadata("sfc-digest", digest)
            .body(ByteStream::from(content))
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(());
        };
        let failure = match error.code() {
            Some("ExpiredToken" | "TokenRefreshRequired" | "InvalidToken") => {
                UploadFailure::Expired
            }
            _ => UploadFailure::Other,
        };
        let code = error.code().unwrap_or("no answer").to_owned();
        let refused = Error::external(format!("the stage's store refused a file: {code}"))
            .operation("upload")
            .target(name)
            .source(error);
        Err((failure, SnowflakeError::Known(refused)))
    }
}

fn is_material(material: &Json) -> bool {
    match material {
        Json::Null => false,
        Json::Array(items) => items.iter().any(is_material),
        Json::Object(fields) => fields
            .get("queryStageMasterKey")
            .is_some_and(|key| !key.is_null()),
        _ => true,
    }
}

fn client(info: StageInfo) -> aws_sdk_s3::Client {
    let token = info.creds.aws_token.filter(|token| !token.is_empty());
    let credentials = Credentials::new(
        info.creds.aws_key_id,
        info.creds.aws_secret_key,
        token,
        None,
        "snowflake stage",
    );
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(
            info.region.unwrap_or_else(|| "us-east-1".to_owned()),
        ))
        .http_client(http_client())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .credentials_provider(credentials);
    if let Some(end_point) = info.end_point.filter(|end_point| !end_point.is_empty()) {
        let url = if end_point.contains("://") {
            end_point
        } else {
            format!("https://{end_point}")
        };
        config = config.endpoint_url(url).force_path_style(true);
    }
    aws_sdk_s3::Client::from_conf(config.build())
}

/// The SDK's own client, with the proxy that the environment names.
fn http_client() -> SharedHttpClient {
    let connector = OnceLock::new();
    http_client_fn(move |settings, components| {
        let made = connector.get_or_init(|| {
            let mut builder = Connector::builder()
                .proxy_config(ProxyConfig::from_env())
                .connector_settings(settings.clone());
            builder.set_sleep_impl(components.sleep_impl());
            let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
            SharedHttpConnector::new(builder.tls_provider(provider).build())
        });
        made.clone()
    })
}
