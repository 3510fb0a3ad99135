//! What a refused request means.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use connect_core::{Error, ErrorKind, RetryVerdict};

/// Codes of states that pass, whatever the status.
const PASSING: [&str; 6] = [
    "InternalError",
    "SlowDown",
    "ServiceUnavailable",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "OperationAborted",
];

pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// True if there is an object of this name.
pub(super) fn is_taken<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    status(error) == Some(412) || error.code() == Some("PreconditionFailed")
}

/// True if the server cannot write on condition, as some that speak S3 cannot.
pub(super) fn knows_no_conditions<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    status(error) == Some(501) || error.code() == Some("NotImplemented")
}

/// By the answer's status and code: refused, wrong configuration, or worth another try.
pub(super) fn failed<E>(operation: &str, target: &str, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + RequestId + std::error::Error + Send + Sync + 'static,
{
    if has_no_credentials(&error) {
        return no_credentials(operation, target).source(error);
    }
    let status = status(&error);
    let code = error.code().map(str::to_owned);
    let request = error
        .request_id()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default();
    let (kind, verdict) = verdict(status, code.as_deref());
    let message = match (&code, status) {
        (_, Some(501)) => format!(
            "the server does not know this request or one of its headers (encryption, ACL, uploads in parts){request}"
        ),
        (Some(code), _) => format!("{code}{request}"),
        (None, Some(status)) => format!("S3 answered {status}{request}"),
        (None, None) => "no answer from S3".to_owned(),
    };
    Error::new(kind, message)
        .retry(verdict)
        .operation(operation)
        .target(target)
        .source(error)
}

/// True if no place that may hold credentials holds usable ones. One that could not be asked in time may be asked again.
fn has_no_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            return matches!(
                error,
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
            );
        }
        next = error.source();
    }
    false
}

fn no_credentials(operation: &str, target: &str) -> Error {
    let text = "no AWS credentials: set aws.access.key.id and aws.secret.access.key, or give the worker some (environment, profile, role of its machine)";
    Error::new(ErrorKind::Auth, text)
        .operation(operation)
        .target(target)
}

/// Whose fault it is, and whether the same request may succeed later. The code counts before the status: an upload in parts
/// may be answered 200 with an error in the body.
fn verdict(status: Option<u16>, code: Option<&str>) -> (ErrorKind, RetryVerdict) {
    match (status, code) {
        (_, Some("NoSuchBucket")) => (ErrorKind::Config, RetryVerdict::Never),
        (_, Some(code)) if PASSING.contains(&code) => (ErrorKind::External, RetryVerdict::Backoff),
        (Some(401 | 403), _) => (ErrorKind::Auth, RetryVerdict::Never),
        (Some(501), _) | (_, Some("NotImplemented")) => (ErrorKind::Config, RetryVerdict::Never),
        // 200 without a code: the answer was cut off.
        (Some(200..=299), None) | (Some(408 | 409 | 429 | 500..), _) | (None, _) => {
            (ErrorKind::External, RetryVerdict::Backoff)
        }
        _ => (ErrorKind::External, RetryVerdict::Never),
    }
}
