//! What a process has used so far, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Kernel clock ticks per second: fixed at 100 on Linux for what user space sees.
const TICKS_PER_SECOND: u32 = 100;

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time of all threads, ended ones included.
    pub(crate) cpu: Duration,
    /// Resident memory now, in bytes.
    pub(crate) resident: u64,
    /// The most resident memory there ever was, in bytes.
    pub(crate) peak_resident: u64,
}

/// Reads the usage of the running process `pid`.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Usage {
        cpu: cpu_time(&stat).context("unexpected form of /proc/PID/stat")?,
        resident: kilobytes(&status, "VmRSS:")? * 1024,
        peak_resident: kilobytes(&status, "VmHWM:")? * 1024,
    })
}

/// Fields 14 and 15 of `stat`, counted after the command's name, which may hold spaces.
fn cpu_time(stat: &str) -> Option<Duration> {
    let after_name = stat.rsplit_once(") ")?.1;
    let mut fields = after_name.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs(1) * (user + system) / TICKS_PER_SECOND)
}

fn kilobytes(status: &str, key: &str) -> Result<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no {key} in /proc/PID/status"))
}
