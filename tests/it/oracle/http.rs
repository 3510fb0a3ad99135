//! A request sent to the letter: a client library would tidy up the paths and bodies that matter here.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No answer takes longer: Kafka Connect itself gives up after 90 s.
const DEADLINE: Duration = Duration::from_secs(100);

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// By name in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// Sends `request` to `host:port` on a connection of its own.
pub(super) async fn send(address: &str, request: &Request) -> Result<Answer> {
    let sent = tokio::time::timeout(DEADLINE, exchange(address, request));
    let bytes = sent.await.context("no answer")??;
    parse(&bytes).with_context(|| format!("the answer to {} {}", request.method, request.path))
}

async fn exchange(address: &str, request: &Request) -> Result<Vec<u8>> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n",
        request.method, request.path
    );
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = &request.body {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = head.into_bytes();
    bytes.extend(b"\r\n");
    bytes.extend(request.body.iter().flatten());
    let stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    // A server may refuse before it has read all: its answer counts, not that it hung up.
    let writing = tokio::spawn(async move { writer.write_all(&bytes).await.map(|()| writer) });
    let mut answer = Vec::new();
    let read = reader.read_to_end(&mut answer).await;
    writing.abort();
    if answer.is_empty() {
        read.context("nothing was answered")?;
    }
    Ok(answer)
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.context("no end of the headers")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|coding| coding == "chunked");
    let body = if chunked {
        unchunked(rest)?
    } else {
        rest.to_vec()
    };
    Ok(Answer {
        status: status.context("no status line")?,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n");
        let end = end.context("a chunk without a length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16)?;
        if length == 0 {
            return Ok(body);
        }
        let chunk = rest.get(end + 2..end + 2 + length);
        let Some(chunk) = chunk else {
            bail!("a chunk is cut off")
        };
        body.extend(chunk);
        rest = rest.get(end + 4 + length..).unwrap_or_default();
    }
}
