//! A process that belongs to the one that started it.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Starts the command, and kills it when standard input closes: when the starting process ends, however it ends.
const WATCHDOG: &str = r#"exec 3<&0 </dev/null; "$@" 3<&- >&2 & child=$!; echo $child; exec >&-; (cat <&3 >/dev/null; kill -9 $child 2>/dev/null) & wait $child; kill $! 2>/dev/null"#;

/// A running service; killed when dropped.
#[derive(Debug)]
pub struct Service {
    watchdog: Child,
    pid: u32,
}

impl Service {
    /// Starts `command`, writing what it prints to `log`.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        let mut watched = Command::new("bash");
        watched
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log).with_context(|| format!("making {}", log.display()))?);
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                watched.env(key, value);
            }
        }
        let mut watchdog = watched.spawn().context("starting bash")?;
        let pid = read_pid(&mut watchdog)?;
        Ok(Self { watchdog, pid })
    }

    /// The service's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid.to_string()])
            .status()?;
        if !status.success() {
            bail!("process {} took no signal {name}", self.pid);
        }
        Ok(())
    }

    /// Kills with -9 and waits until it is gone.
    pub fn kill9(mut self) -> Result<()> {
        self.signal("KILL")?;
        self.watchdog.wait()?;
        Ok(())
    }

    /// Asks to stop and waits; an error if it is still there after `deadline`.
    pub fn stop(mut self, deadline: Duration) -> Result<()> {
        self.signal("TERM")?;
        let until = Instant::now() + deadline;
        while Instant::now() < until {
            if self.watchdog.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("process {} did not stop within {deadline:?}", self.pid)
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.watchdog.try_wait(), Ok(None))
    }
}

fn read_pid(watchdog: &mut Child) -> Result<u32> {
    use std::io::{BufRead, BufReader};
    let output = watchdog.stdout.take().context("standard output is piped")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    line.trim()
        .parse()
        .context("the watchdog prints the process id first")
}

impl Drop for Service {
    fn drop(&mut self) {
        // Only while it is still ours: the number of a process that has ended may be another's by now.
        if self.is_running() {
            let _gone_already = self.signal("KILL");
        }
        // Closing standard input makes the watchdog kill the service, should the signal have failed.
        drop(self.watchdog.stdin.take());
        let _reaped = self.watchdog.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
