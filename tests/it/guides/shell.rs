//! A shell as a user has it before him: one bash for a page, so that variables and background processes stay.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(240);

/// Killed when dropped.
pub(super) struct Shell {
    bash: Child,
    input: ChildStdin,
    /// A line for each command that has ended: its exit status.
    statuses: Receiver<String>,
    /// Where outputs are kept, a file for each command.
    outputs: PathBuf,
    ran: usize,
}

/// How a command ended, and what it printed.
pub(super) struct Ran {
    pub(super) status: i32,
    pub(super) output: PathBuf,
}

impl Ran {
    pub(super) fn text(&self) -> String {
        let text = fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Shell {
    /// A shell in `folder`.
    pub(super) fn start(
        folder: &Path,
        outputs: &Path,
        variables: &[(&str, String)],
    ) -> Result<Self> {
        let mut command = Command::new("bash");
        command.args(["--norc"]).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, value) in variables {
            command.env(name, value);
        }
        let mut bash = command
            .stderr(Stdio::null())
            .spawn()
            .context("starting bash")?;
        let input = bash.stdin.take().context("standard input is piped")?;
        let output = BufReader::new(bash.stdout.take().context("standard output is piped")?);
        let (sender, statuses) = sync_channel(1);
        std::thread::spawn(move || {
            let mut lines = output.lines().map_while(std::result::Result::ok);
            lines.all(|line| sender.send(line).is_ok())
        });
        let mut shell = Self {
            bash,
            input,
            statuses,
            outputs: outputs.to_owned(),
            ran: 0,
        };
        // Job control: a background command is a process group, which Ctrl-C is for.
        shell.say("set -m")?;
        Ok(shell)
    }

    /// Runs a command to its end.
    pub(super) fn run(&mut self, command: &str) -> Result<Ran> {
        let output = self.next_output();
        let shown = output.display();
        self.say(&format!(
            "{{ {command}\n}} </dev/null >'{shown}' 2>&1; echo $?"
        ))?;
        self.ended(output)
    }

    /// Runs a command until it has printed `words`, then presses Ctrl-C.
    pub(super) fn run_until(&mut self, command: &str, words: &str) -> Result<Ran> {
        let output = self.next_output();
        let shown = output.display();
        self.say(&format!("{{ {command}\n}} </dev/null >'{shown}' 2>&1 &"))?;
        let ran = Ran { status: 0, output };
        let until = Instant::now() + DEADLINE;
        while !ran.text().contains(words) {
            if Instant::now() > until {
                bail!("no word of {words}: {}", ran.text());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.say("kill -INT -- -$!; wait $!; echo $?")?;
        self.ended(ran.output)
    }

    fn next_output(&mut self) -> PathBuf {
        self.ran += 1;
        self.outputs.join(format!("output-{}", self.ran))
    }

    fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("the shell has ended")
    }

    fn ended(&self, output: PathBuf) -> Result<Ran> {
        let status = self.statuses.recv_timeout(DEADLINE);
        let status = status.with_context(|| {
            Ran {
                status: -1,
                output: output.clone(),
            }
            .text()
        })?;
        let status = status.trim().parse().with_context(|| status.clone())?;
        Ok(Ran { status, output })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _gone_already = self.bash.kill();
        let _reaped = self.bash.wait();
    }
}
