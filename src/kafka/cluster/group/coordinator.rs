//! The requests of a member to its group's coordinator, wherever that is at the moment.
//!
//! The only file that uses krafka's inner layers (connections and codecs): its consumer speaks no other protocol type
//! than its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use krafka::__private::network::BrokerConnection;
use krafka::__private::protocol::versions::{
    FIND_COORDINATOR_MAX, FIND_COORDINATOR_MIN, HEARTBEAT_MAX, HEARTBEAT_MIN, JOIN_GROUP_MAX,
    JOIN_GROUP_MIN, LEAVE_GROUP_MAX, LEAVE_GROUP_MIN, SYNC_GROUP_MAX, SYNC_GROUP_MIN,
};
use krafka::__private::protocol::{
    ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupMember, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse, VersionedDecode, VersionedEncode,
};
use krafka::__private::{kafka_metadata, kafka_pool};
use krafka::error::ErrorCode;
use krafka::{BrokerInfo, Kafka, KrafkaError};

type Result<T> = std::result::Result<T, KrafkaError>;

/// Which of its two connections a request takes. A broker answers the requests of one connection one after the other,
/// and it may hold a join for a minute: heartbeats have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Joining,
    Heartbeats,
}

/// A request's number and the versions that both sides may know.
struct Call {
    api: ApiKey,
    versions: (i16, i16),
    line: Line,
    /// How long the broker may hold it; at least the client's own deadline counts.
    patience: Duration,
}

impl Call {
    fn new(api: ApiKey, versions: (i16, i16), line: Line) -> Self {
        let patience = Duration::ZERO;
        Self {
            api,
            versions,
            line,
            patience,
        }
    }

    fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// The coordinator of a group.
pub(super) struct Coordinator {
    kafka: Kafka,
    group: String,
    /// Where it was last; `None`: to be found.
    address: Mutex<Option<String>>,
    /// The address at which the group was joined last, and the connection.
    joining: Mutex<Option<(String, Arc<BrokerConnection>)>>,
}

impl Coordinator {
    pub(super) fn new(kafka: Kafka, group: String) -> Self {
        Self {
            kafka,
            group,
            address: Mutex::new(None),
            joining: Mutex::new(None),
        }
    }

    /// Gives up a join that the broker may still hold: the next would wait behind it.
    pub(super) async fn hang_up(&self) {
        let joining = locked(&self.joining).take();
        if let Some((_, connection)) = joining {
            connection.close().await;
        }
    }

    /// Gives up a join that waits for a broker which is not the coordinator any more: it may never answer.
    async fn hang_up_elsewhere(&self, address: &str) {
        let is_elsewhere = locked(&self.joining)
            .as_ref()
            .is_some_and(|(joined_at, _)| joined_at != address);
        if is_elsewhere {
            self.hang_up().await;
        }
    }

    /// Asks to join; `patience` is how long the group may take.
    pub(super) async fn join(
        &self,
        request: &JoinGroupRequest,
        patience: Duration,
    ) -> Result<JoinGroupResponse> {
        let versions = (JOIN_GROUP_MIN, JOIN_GROUP_MAX);
        let call = Call::new(ApiKey::JoinGroup, versions, Line::Joining).patience(patience);
        let answer: JoinGroupResponse = self.ask(call, request).await?;
        match answer.error_code {
            ErrorCode::MemberIdRequired => Ok(answer),
            code => self.checked(code).map(|()| answer),
        }
    }

    /// Gives the leader's assignments, or waits for one's own.
    pub(super) async fn sync(
        &self,
        request: &SyncGroupRequest,
        patience: Duration,
    ) -> Result<SyncGroupResponse> {
        let versions = (SYNC_GROUP_MIN, SYNC_GROUP_MAX);
        let call = Call::new(ApiKey::SyncGroup, versions, Line::Joining).patience(patience);
        let answer: SyncGroupResponse = self.ask(call, request).await?;
        self.checked(answer.error_code).map(|()| answer)
    }

    /// Says that the member lives.
    pub(super) async fn heartbeat(&self, member: &str, generation: i32) -> Result<()> {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: generation,
            member_id: member.to_owned(),
            group_instance_id: None,
        };
        let versions = (HEARTBEAT_MIN, HEARTBEAT_MAX);
        let call = Call::new(ApiKey::Heartbeat, versions, Line::Heartbeats);
        let answer: HeartbeatResponse = self.ask(call, &request).await?;
        self.checked(answer.error_code)
    }

    /// Ends the membership.
    pub(super) async fn leave(&self, member: &str) -> Result<()> {
        let request = LeaveGroupRequest {
            group_id: self.group.clone(),
            member_id: String::new(),
            members: vec![LeaveGroupMember {
                member_id: member.to_owned(),
                group_instance_id: None,
                reason: None,
            }],
        };
        let versions = (LEAVE_GROUP_MIN, LEAVE_GROUP_MAX);
        let call = Call::new(ApiKey::LeaveGroup, versions, Line::Heartbeats);
        let answer: LeaveGroupResponse = self.ask(call, &request).await?;
        self.checked(answer.error_code)?;
        let mut codes = answer.members.iter().map(|member| member.error_code);
        codes.try_for_each(|code| self.checked(code))
    }

    async fn ask<Answer: VersionedDecode>(
        &self,
        call: Call,
        request: &impl VersionedEncode,
    ) -> Result<Answer> {
        let connection = self.connection(call.line).await?;
        let answered = send(&connection, &call, request).await;
        answered.inspect_err(|_| self.forget())
    }

    fn checked(&self, code: ErrorCode) -> Result<()> {
        if code.is_ok() {
            return Ok(());
        }
        if matches!(
            code,
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable
        ) {
            self.forget();
        }
        Err(KrafkaError::broker(code, "the coordinator refused"))
    }

    fn forget(&self) {
        *locked(&self.address) = None;
    }

    async fn connection(&self, line: Line) -> Result<Arc<BrokerConnection>> {
        let known = locked(&self.address).clone();
        let address = match known {
            Some(address) => address,
            None => self.find().await?,
        };
        let pool = kafka_pool(&self.kafka);
        let connected = match line {
            Line::Joining => pool.get_coordinator_connection(&address).await,
            Line::Heartbeats => pool.get_connection(&address).await,
        };
        let connection = connected.inspect_err(|_| self.forget())?;
        if line == Line::Joining {
            *locked(&self.joining) = Some((address, connection.clone()));
        }
        Ok(connection)
    }

    async fn find(&self) -> Result<String> {
        let connection = self.any_broker().await?;
        let versions = (FIND_COORDINATOR_MIN, FIND_COORDINATOR_MAX);
        let call = Call::new(ApiKey::FindCoordinator, versions, Line::Heartbeats);
        let request = FindCoordinatorRequest::for_group(&self.group);
        let found: FindCoordinatorResponse = send(&connection, &call, &request).await?;
        self.checked(found.error_code)?;
        let broker = BrokerInfo::new(found.node_id, found.host, found.port, None);
        let address = broker.address().to_owned();
        self.hang_up_elsewhere(&address).await;
        *locked(&self.address) = Some(address.clone());
        Ok(address)
    }

    /// A connection to any broker, a random one first: the one asked last may be the one that is gone.
    async fn any_broker(&self) -> Result<Arc<BrokerConnection>> {
        let metadata = kafka_metadata(&self.kafka);
        let brokers = metadata.brokers();
        let mut addresses: Vec<_> = brokers
            .iter()
            .map(|broker| broker.address().to_owned())
            .collect();
        fastrand::shuffle(&mut addresses);
        addresses.extend(metadata.bootstrap_servers());
        let mut last = None;
        for address in addresses {
            match kafka_pool(&self.kafka).get_connection(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        let none = || KrafkaError::broker(ErrorCode::BrokerNotAvailable, "no broker is known");
        Err(last.unwrap_or_else(none))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn send<Answer: VersionedDecode>(
    connection: &BrokerConnection,
    call: &Call,
    request: &impl VersionedEncode,
) -> Result<Answer> {
    let (oldest, newest) = call.versions;
    let version = connection.negotiate_api_version(call.api, newest, oldest);
    let version = version.ok_or_else(|| {
        let text = format!("{:?} v{oldest} to v{newest}", call.api);
        KrafkaError::broker(ErrorCode::UnsupportedVersion, text)
    })?;
    let encode =
        |buffer: &mut bytes::BytesMut| -> Result<()> { request.encode_versioned(version, buffer) };
    let sending = connection.send_request_with_timeout(call.api, version, call.patience, encode);
    let mut answer = sending.await?;
    Answer::decode_versioned(version, &mut answer)
}
