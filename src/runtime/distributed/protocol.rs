//! What the workers of a group tell each other when they join, and what its leader answers: Kafka Connect's own bytes.
//!
//! Version 0 (eager) knows only whole assignments. With versions 1 and 2 (incremental cooperative) a member says what it
//! runs, and is told what it gets *in addition* and what it must give up. Version 2 differs from 1 in nothing but the
//! promise that requests between workers are signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use connect_core::plugin::TaskId;
use connect_core::{Error, Result, option_names};

/// The kind of group that workers are in.
pub const PROTOCOL_TYPE: &str = "connect";

/// Stands, among the tasks of a connector, for the connector itself.
const CONNECTOR: i32 = -1;

/// How work is shared: the values of `connect.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectProtocol {
    /// Everybody stops everything at each rebalance.
    Eager,
    /// Only what moves is stopped.
    Compatible,
    /// As [`ConnectProtocol::Compatible`], and requests between workers are signed.
    Sessioned,
}

option_names!(ConnectProtocol { "eager" => Eager, "compatible" => Compatible, "sessioned" => Sessioned });

impl ConnectProtocol {
    /// All, best first.
    const ALL: [Self; 3] = [Self::Sessioned, Self::Compatible, Self::Eager];

    /// What a worker with this setting can do, best first: a group agrees on what all its members can.
    pub fn offered(self) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |protocol| *protocol <= self)
    }

    /// The name under which it is offered to the group.
    pub fn group_name(self) -> &'static str {
        match self {
            Self::Eager => "default",
            Self::Compatible => "compatible",
            Self::Sessioned => "sessioned",
        }
    }

    /// That which a group has agreed on.
    ///
    /// # Errors
    /// It is none of these.
    pub fn of_group(name: &str) -> Result<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|known| known.group_name() == name);
        found.ok_or_else(|| Error::conflict(format!("the group's protocol {name:?} is unknown")))
    }

    fn version(self) -> i16 {
        match self {
            Self::Eager => 0,
            Self::Compatible => 1,
            Self::Sessioned => 2,
        }
    }
}

/// Connectors and tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// The connectors themselves.
    pub connectors: BTreeSet<Arc<str>>,
    /// Tasks.
    pub tasks: BTreeSet<TaskId>,
}

impl Work {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connectors.is_empty() && self.tasks.is_empty()
    }

    /// Takes up more.
    pub fn add(&mut self, more: &Self) {
        self.connectors.extend(more.connectors.iter().cloned());
        self.tasks.extend(more.tasks.iter().cloned());
    }

    /// What is not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let connectors = self.connectors.difference(&other.connectors);
        let tasks = self.tasks.difference(&other.tasks);
        Self {
            connectors: connectors.cloned().collect(),
            tasks: tasks.cloned().collect(),
        }
    }

    /// What is in `other`, too.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let connectors = self.connectors.intersection(&other.connectors);
        let tasks = self.tasks.intersection(&other.tasks);
        Self {
            connectors: connectors.cloned().collect(),
            tasks: tasks.cloned().collect(),
        }
    }
}

/// What a worker says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerState {
    /// Where its REST API is: `http://host:port/`.
    pub url: String,
    /// How far it has read the config topic: the offset of the last record; -1 if it has read none.
    pub config_offset: i64,
    /// What it has now; `None` for nothing, and with the eager protocol.
    pub assignment: Option<Assignment>,
}

/// How far the leader got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AssignmentError {
    /// The work is shared.
    #[default]
    None,
    /// The leader has not read as far in the config topic as another member: nothing is shared, all join again.
    ConfigMismatch,
}

impl AssignmentError {
    fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::ConfigMismatch => 1,
        }
    }
}

/// What the leader gives to a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// How far the leader got.
    pub error: AssignmentError,
    /// The leader's id in the group.
    pub leader: String,
    /// Where the leader's REST API is.
    pub leader_url: String,
    /// How far in the config topic the leader had read: a member must read as far before it starts anything.
    pub config_offset: i64,
    /// Eager: all. Incremental: what is to be run in addition; but in a [`WorkerState`], all.
    pub work: Work,
    /// What is to be given up, at once and before joining again.
    pub revoked: Work,
    /// When to join again although nothing has happened: work is held back until then. Zero: never.
    pub delay: Duration,
}

impl WorkerState {
    /// The bytes.
    pub fn encode(&self, protocol: ConnectProtocol) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_i16(protocol.version());
        put_string(&mut bytes, &self.url);
        bytes.put_i64(self.config_offset);
        if protocol > ConnectProtocol::Eager {
            let assignment = self.assignment.as_ref();
            put_bytes(&mut bytes, assignment.map(|has| has.encode(protocol)));
        }
        bytes.freeze()
    }

    /// Reads the bytes of a member, of whatever version.
    ///
    /// # Errors
    /// They are none.
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let state = Self::read(&mut bytes);
        state.map_err(|error| error.into_error("a member's state"))
    }

    fn read(bytes: &mut &[u8]) -> Read<Self> {
        let version = version(bytes)?;
        let url = string(bytes)?;
        let config_offset = bytes.try_get_i64()?;
        let held = if version > 0 {
            self::bytes(bytes)?
        } else {
            None
        };
        let assignment = held.map(|mut held| Assignment::read(&mut held));
        Ok(Self {
            url,
            config_offset,
            assignment: assignment.transpose()?,
        })
    }
}

impl Assignment {
    /// The bytes.
    pub fn encode(&self, protocol: ConnectProtocol) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_i16(protocol.version());
        bytes.put_i16(self.error.code());
        put_string(&mut bytes, &self.leader);
        put_string(&mut bytes, &self.leader_url);
        bytes.put_i64(self.config_offset);
        put_work(&mut bytes, &self.work);
        if protocol > ConnectProtocol::Eager {
            put_work(&mut bytes, &self.revoked);
            let millis = self.delay.as_millis();
            bytes.put_i32(i32::try_from(millis).unwrap_or(i32::MAX));
        }
        bytes.freeze()
    }

    /// Reads what the leader gave, in whatever version.
    ///
    /// # Errors
    /// It is no assignment; empty bytes are none either.
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        let assignment = Self::read(&mut bytes);
        assignment.map_err(|error| error.into_error("an assignment"))
    }

    fn read(bytes: &mut &[u8]) -> Read<Self> {
        let version = version(bytes)?;
        let error = match bytes.try_get_i16()? {
            0 => AssignmentError::None,
            1 => AssignmentError::ConfigMismatch,
            other => return Err(Malformed::Error(other)),
        };
        let mut assignment = Self {
            error,
            leader: string(bytes)?,
            leader_url: string(bytes)?,
            config_offset: bytes.try_get_i64()?,
            work: work(bytes)?,
            ..Self::default()
        };
        if version > 0 {
            assignment.revoked = work(bytes)?;
            let millis = bytes.try_get_i32()?;
            assignment.delay = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        }
        Ok(assignment)
    }
}

/// Why bytes cannot be read.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error(transparent)]
    Short(#[from] TryGetError),
    #[error("text that is no UTF-8")]
    Text,
    #[error("a length of {0}")]
    Length(i32),
    #[error("the task {0}")]
    Task(i32),
    #[error("the version {0}")]
    Version(i16),
    #[error("the error {0}")]
    Error(i16),
}

impl Malformed {
    fn into_error(self, what: &str) -> Error {
        Error::conflict(format!("{what} cannot be read")).source(self)
    }
}

type Read<T> = std::result::Result<T, Malformed>;

/// A later version begins as the last that is known.
fn version(bytes: &mut &[u8]) -> Read<i16> {
    match bytes.try_get_i16()? {
        version if version < 0 => Err(Malformed::Version(version)),
        version => Ok(version),
    }
}

fn put_string(bytes: &mut BytesMut, text: &str) {
    // No address is that long, and no connector's name that came by REST.
    let text = text.get(..text.floor_char_boundary(i16::MAX as usize));
    let text = text.unwrap_or_default();
    bytes.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    bytes.put_slice(text.as_bytes());
}

fn string(bytes: &mut &[u8]) -> Read<String> {
    let length = bytes.try_get_i16()?;
    let text = taken(bytes, i32::from(length))?;
    Ok(std::str::from_utf8(text)
        .map_err(|_| Malformed::Text)?
        .to_owned())
}

fn put_bytes(bytes: &mut BytesMut, content: Option<Bytes>) {
    let Some(content) = content else {
        return bytes.put_i32(-1);
    };
    bytes.put_i32(i32::try_from(content.len()).unwrap_or(i32::MAX));
    bytes.put_slice(&content);
}

fn bytes<'a>(bytes: &mut &'a [u8]) -> Read<Option<&'a [u8]>> {
    match bytes.try_get_i32()? {
        -1 => Ok(None),
        length => taken(bytes, length).map(Some),
    }
}

fn taken<'a>(bytes: &mut &'a [u8], length: i32) -> Read<&'a [u8]> {
    let wanted = usize::try_from(length).map_err(|_| Malformed::Length(length))?;
    let taken = bytes.split_off(..wanted);
    taken.ok_or(Malformed::Length(length))
}

/// Work is written by connector: its tasks, and -1 for itself.
fn put_work(bytes: &mut BytesMut, work: &Work) {
    let mut connectors: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for connector in &work.connectors {
        connectors.entry(connector).or_default().push(CONNECTOR);
    }
    for task in &work.tasks {
        let number = i32::try_from(task.task).unwrap_or(i32::MAX);
        connectors.entry(&task.connector).or_default().push(number);
    }
    put_count(bytes, connectors.len());
    for (connector, tasks) in connectors {
        put_string(bytes, connector);
        put_count(bytes, tasks.len());
        for task in tasks {
            bytes.put_i32(task);
        }
    }
}

fn put_count(bytes: &mut BytesMut, count: usize) {
    bytes.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

/// Null is nothing.
fn work(bytes: &mut &[u8]) -> Read<Work> {
    let mut work = Work::default();
    for _ in 0..bytes.try_get_i32()? {
        let connector: Arc<str> = string(bytes)?.into();
        for _ in 0..bytes.try_get_i32()? {
            match bytes.try_get_i32()? {
                CONNECTOR => {
                    work.connectors.insert(connector.clone());
                }
                number => {
                    let task = u32::try_from(number).map_err(|_| Malformed::Task(number))?;
                    let connector = connector.clone();
                    work.tasks.insert(TaskId { connector, task });
                }
            }
        }
    }
    Ok(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Kafka Connect 4.3.1 of the same values.
    const STATE_0: &str = "0000000f687474703a2f2f77313a383038332f0000000000000007";
    const STATE_1_EMPTY: &str = "0001000f687474703a2f2f77313a383038332f0000000000000007ffffffff";
    const STATE_2: &str = "0002000f687474703a2f2f77313a383038332f00000000000000070000006b0002000000086c65616465722d31000f687474703a2f2f77313a383038332f00000000000000070000000200016100000003ffffffff000000000000000200016200000001000000010000000200016300000002ffffffff000000000001640000000100000003000005dc";
    const ASSIGNMENT_0: &str = "0000000000086c65616465722d31000f687474703a2f2f77313a383038332f00000000000000070000000200016100000003ffffffff00000000000000020001620000000100000001";
    const ASSIGNMENT_0_FAILED: &str =
        "0000000100086c65616465722d31000f687474703a2f2f77313a383038332fffffffffffffffff00000000";
    const ASSIGNMENT_1: &str = "0001000000086c65616465722d31000f687474703a2f2f77313a383038332f00000000000000070000000200016100000003ffffffff000000000000000200016200000001000000010000000200016300000002ffffffff000000000001640000000100000003000005dc";
    const ASSIGNMENT_2_NOTHING: &str =
        "0002000000016c0001750000000000000003000000000000000000000000";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digits).collect()
    }

    fn some_work(connectors: &[&str], tasks: &[(&str, u32)]) -> Work {
        let task = |&(connector, task): &(&str, u32)| TaskId {
            connector: connector.into(),
            task,
        };
        Work {
            connectors: connectors.iter().map(|&name| name.into()).collect(),
            tasks: tasks.iter().map(task).collect(),
        }
    }

    fn assignment() -> Assignment {
        Assignment {
            error: AssignmentError::None,
            leader: "leader-1".to_owned(),
            leader_url: "http://w1:8083/".to_owned(),
            config_offset: 7,
            work: some_work(&["a"], &[("a", 0), ("a", 2), ("b", 1)]),
            revoked: some_work(&["c"], &[("c", 0), ("d", 3)]),
            delay: Duration::from_millis(1500),
        }
    }

    fn state(assignment: Option<Assignment>) -> WorkerState {
        WorkerState {
            url: "http://w1:8083/".to_owned(),
            config_offset: 7,
            assignment,
        }
    }

    #[test]
    fn states_are_written_and_read_as_kafka_connect_does() {
        let full = state(Some(assignment()));
        for (bytes, protocol, state) in [
            (STATE_0, ConnectProtocol::Eager, state(None)),
            (STATE_1_EMPTY, ConnectProtocol::Compatible, state(None)),
            (STATE_2, ConnectProtocol::Sessioned, full),
        ] {
            assert_eq!(hex(&state.encode(protocol)), bytes);
            assert_eq!(WorkerState::decode(&unhex(bytes)).unwrap(), state);
        }
    }

    #[test]
    fn assignments_are_written_and_read_as_kafka_connect_does() {
        let eager = Assignment {
            revoked: Work::default(),
            delay: Duration::ZERO,
            ..assignment()
        };
        let failed = Assignment {
            error: AssignmentError::ConfigMismatch,
            config_offset: -1,
            work: Work::default(),
            ..eager.clone()
        };
        let nothing = Assignment {
            leader: "l".to_owned(),
            leader_url: "u".to_owned(),
            config_offset: 3,
            ..Assignment::default()
        };
        for (bytes, protocol, assignment) in [
            (ASSIGNMENT_0, ConnectProtocol::Eager, eager),
            (ASSIGNMENT_0_FAILED, ConnectProtocol::Eager, failed),
            (ASSIGNMENT_1, ConnectProtocol::Compatible, assignment()),
            (ASSIGNMENT_2_NOTHING, ConnectProtocol::Sessioned, nothing),
        ] {
            assert_eq!(hex(&assignment.encode(protocol)), bytes);
            assert_eq!(Assignment::decode(&unhex(bytes)).unwrap(), assignment);
        }
    }

    #[test]
    fn bytes_that_are_cut_or_wrong_are_refused() {
        for bytes in [STATE_2, ASSIGNMENT_1] {
            let bytes = unhex(bytes);
            for end in 0..bytes.len() {
                let cut = &bytes[..end];
                let states = WorkerState::decode(cut).is_ok();
                assert!(!(bytes == unhex(STATE_2) && states), "{end}");
                let assignments = Assignment::decode(cut).is_ok();
                assert!(!(bytes == unhex(ASSIGNMENT_1) && assignments), "{end}");
            }
        }
        assert!(Assignment::decode(&[]).is_err());
        assert!(Assignment::decode(&[0xff, 0xff, 0, 0]).is_err());
        // A count that no memory could hold is read as far as there are bytes.
        let mut endless = unhex(ASSIGNMENT_2_NOTHING);
        let count = endless.len() - 12;
        endless[count..count + 4].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(Assignment::decode(&endless).is_err());
    }

    #[test]
    fn a_worker_offers_what_its_setting_allows_and_less() {
        let names = |setting: ConnectProtocol| -> Vec<_> {
            setting.offered().map(ConnectProtocol::group_name).collect()
        };
        let all = ["sessioned", "compatible", "default"];
        assert_eq!(names(ConnectProtocol::Sessioned), all);
        assert_eq!(names(ConnectProtocol::Compatible), all[1..]);
        assert_eq!(names(ConnectProtocol::Eager), all[2..]);
        for protocol in ConnectProtocol::ALL {
            let name = protocol.group_name();
            assert_eq!(ConnectProtocol::of_group(name).unwrap(), protocol);
        }
        assert!(ConnectProtocol::of_group("range").is_err());
    }
}
