//! krafka's errors by whose fault they are and whether trying again can help.

use std::io;
use std::sync::Arc;

use connect_core::{Error, ErrorKind, RetryVerdict};
use krafka::KrafkaError;
use krafka::error::ErrorCode;

/// The error as the log's users see it.
pub(super) fn mapped(error: KrafkaError) -> Error {
    let kind = kind(&error);
    let verdict = match kind {
        ErrorKind::External if is_retriable(&error) => RetryVerdict::Backoff,
        ErrorKind::Config if may_be_gone_for_a_moment(&error) => RetryVerdict::Backoff,
        _ => RetryVerdict::Never,
    };
    Error::new(kind, "Kafka").retry(verdict).source(error)
}

/// A broker that does not know a partition may not know it yet; a partition that was deleted is soon nobody's any more.
fn may_be_gone_for_a_moment(error: &KrafkaError) -> bool {
    let unknown = ErrorCode::UnknownTopicOrPartition;
    matches!(error, KrafkaError::Broker { code, .. } if *code == unknown) && error.is_retriable()
}

fn is_retriable(error: &KrafkaError) -> bool {
    error.is_retriable() || matches!(error, KrafkaError::DeliveryTimeout { .. })
}

fn kind(error: &KrafkaError) -> ErrorKind {
    match error {
        KrafkaError::Auth { .. } => ErrorKind::Auth,
        KrafkaError::Network(_) if is_about_tls(error) => ErrorKind::Auth,
        KrafkaError::Config { .. }
        | KrafkaError::UnknownTopic { .. }
        | KrafkaError::NoOffset { .. } => ErrorKind::Config,
        KrafkaError::Fenced { .. } => ErrorKind::Conflict,
        KrafkaError::IllegalState { .. } => ErrorKind::Internal,
        KrafkaError::Broker { code, .. } => kind_of_code(*code),
        _ => ErrorKind::External,
    }
}

/// True if TLS failed: a certificate that one side does not accept, or no TLS on the other side.
fn is_about_tls(error: &KrafkaError) -> bool {
    let first: Cause = error;
    let mut causes = std::iter::successors(Some(first), |error| error.source());
    causes.any(|cause| {
        let inside = as_io(cause).and_then(io::Error::get_ref);
        inside.is_some_and(|inside| inside.is::<rustls::Error>())
    })
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// The input or output error that a cause is: krafka shares some.
fn as_io(cause: Cause<'_>) -> Option<&io::Error> {
    let shared = || cause.downcast_ref::<Arc<io::Error>>().map(AsRef::as_ref);
    cause.downcast_ref::<io::Error>().or_else(shared)
}

fn kind_of_code(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed
        | ErrorCode::SaslAuthenticationFailed => ErrorKind::Auth,
        ErrorCode::IllegalGeneration
        | ErrorCode::UnknownMemberId
        | ErrorCode::RebalanceInProgress
        | ErrorCode::InconsistentGroupProtocol
        | ErrorCode::FencedInstanceId
        | ErrorCode::FencedMemberEpoch
        | ErrorCode::StaleMemberEpoch
        | ErrorCode::ProducerFenced
        | ErrorCode::InvalidProducerEpoch
        | ErrorCode::NonEmptyGroup
        | ErrorCode::GroupSubscribedToTopic => ErrorKind::Conflict,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::InvalidTopic
        | ErrorCode::InvalidPartitions
        | ErrorCode::InvalidReplicationFactor
        | ErrorCode::InvalidConfig
        | ErrorCode::InvalidGroupId
        | ErrorCode::InvalidSessionTimeout
        | ErrorCode::PolicyViolation => ErrorKind::Config,
        ErrorCode::MessageTooLarge | ErrorCode::InvalidRecord => ErrorKind::Data,
        _ => ErrorKind::External,
    }
}
