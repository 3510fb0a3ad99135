//! A proxy before a broker: passes everything on, and kills a process at a named point of a transaction.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use sluice_services::{Kafka, KafkaOptions, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Kafka's number of the request that ends a transaction.
const END_TRANSACTION: [u8; 2] = 26_i16.to_be_bytes();

/// A moment in the life of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// Records and offsets are written, the broker has not heard of the commit.
    BeforeCommit,
    /// The broker has committed, the producer has not heard of it.
    AfterCommit,
}

/// Kills a process at a point.
#[derive(Debug, Clone)]
struct Trap {
    point: Point,
    /// Of the transaction.
    id: String,
    pid: u32,
}

/// A broker whose clients all go through a proxy.
pub(super) struct ProxiedKafka {
    pub(super) kafka: Kafka,
    address: String,
    trap: Arc<Mutex<Option<Trap>>>,
}

impl ProxiedKafka {
    /// Starts broker and proxy.
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, behind) = (listener.local_addr()?.to_string(), free_port()?);
        let properties = [
            ("advertised.listeners", format!("PROXIED://{address}")),
            ("inter.broker.listener.name", "PROXIED".to_owned()),
            (
                "listener.security.protocol.map",
                "PROXIED:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
            ),
        ];
        let options = KafkaOptions {
            properties: properties
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            listeners: vec![format!("PROXIED://127.0.0.1:{behind}")],
        };
        let trap = Arc::default();
        tokio::spawn(accept(listener, behind, Arc::clone(&trap)));
        let starting = tokio::task::spawn_blocking(move || Kafka::start(&options));
        let kafka = starting.await??;
        Ok(Self {
            kafka,
            address,
            trap,
        })
    }

    /// `host:port` for clients.
    pub(super) fn bootstrap(&self) -> String {
        self.address.clone()
    }

    fn trap(&self) -> std::sync::MutexGuard<'_, Option<Trap>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process when the next transaction of `id` comes to `point`.
    pub(super) fn set_trap(&self, point: Point, id: &str, pid: u32) {
        let id = id.to_owned();
        *self.trap() = Some(Trap { point, id, pid });
    }

    /// True once the process was killed.
    pub(super) fn has_sprung(&self) -> bool {
        self.trap().is_none()
    }
}

type Traps = Arc<Mutex<Option<Trap>>>;

async fn accept(listener: TcpListener, behind: u16, trap: Traps) {
    while let Ok((client, _)) = listener.accept().await {
        let trap = trap.clone();
        tokio::spawn(async move {
            if let Ok(broker) = TcpStream::connect(("127.0.0.1", behind)).await {
                let _one_has_hung_up = pass(client, broker, trap).await;
            }
        });
    }
}

async fn pass(client: TcpStream, broker: TcpStream, trap: Traps) -> Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    // Answers that must not arrive, by the number of their request.
    let awaited = Arc::new(Mutex::new(None));
    let requests = pass_requests(from_client, to_broker, trap.clone(), awaited.clone());
    let answers = pass_answers(from_broker, to_client, trap, awaited);
    tokio::select! {
        outcome = requests => outcome,
        outcome = answers => outcome,
    }
}

/// One frame, its length included.
async fn frame(from: &mut OwnedReadHalf) -> Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.resize(4 + usize::try_from(length)?, 0);
    from.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}

async fn pass_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    trap: Traps,
    awaited: Arc<Mutex<Option<Vec<u8>>>>,
) -> Result<()> {
    loop {
        let request = frame(&mut from).await?;
        let caught = caught(&request, &trap);
        if let Some(trapped) = &caught {
            match trapped.point {
                Point::BeforeCommit => {
                    spring(trapped, &trap)?;
                    anyhow::bail!("the process is dead");
                }
                Point::AfterCommit => {
                    let number = request[8..12].to_vec();
                    *awaited.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
                }
            }
        }
        to.write_all(&request).await?;
    }
}

async fn pass_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    trap: Traps,
    awaited: Arc<Mutex<Option<Vec<u8>>>>,
) -> Result<()> {
    loop {
        let answer = frame(&mut from).await?;
        let number = awaited
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if number.is_some_and(|number| answer[4..8] == number) {
            let set = trap.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(set) = set {
                spring(&set, &trap)?;
                anyhow::bail!("the process is dead");
            }
        }
        to.write_all(&answer).await?;
    }
}

/// The trap, if the request is what it waits for: the commit of the transaction, not an abort.
fn caught(request: &[u8], trap: &Traps) -> Option<Trap> {
    let set = trap
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()?;
    let id = set.id.as_bytes();
    let place = request.windows(id.len()).position(|part| part == id)?;
    // Producer id (8 bytes) and epoch (2 bytes) stand between the id and what is wanted.
    let commits = request.get(place + id.len() + 10) == Some(&1);
    (request.get(4..6) == Some(&END_TRANSACTION) && commits).then_some(set)
}

fn spring(set: &Trap, trap: &Traps) -> Result<()> {
    let killed = Command::new("kill")
        .args(["-s", "KILL", &set.pid.to_string()])
        .status()?;
    *trap.lock().unwrap_or_else(PoisonError::into_inner) = None;
    ensure!(killed.success(), "process {} was not there", set.pid);
    Ok(())
}
