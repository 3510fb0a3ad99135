//! The same calls sent to the real Kafka Connect 4.3.1 and to ours; the answers must be the same.

mod clients;
mod compare;
mod differences;
mod http;
mod report;
mod script;
mod side;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sluice_services::{Connect, ConnectOptions, Kafka, KafkaOptions};

use crate::support::{WorkerProcess, wait_until};
use compare::{Neutral, differences, places, shortened, summaries};
use differences::INTENDED;
use http::Answer;
use report::{Count, Row};
use script::{Call, Step};
use side::Side;

/// How long either worker may take until an answer holds what is waited for.
const SOON: Duration = Duration::from_secs(40);

/// What both workers are told about pages of other origins and about headers.
const SETTINGS: [(&str, &str); 3] = [
    ("access.control.allow.origin", "http://good.example"),
    ("access.control.allow.methods", "GET,PUT"),
    (
        "response.http.headers.config",
        r#"add X-Added: one, "set X-Set: a, b""#,
    ),
];

/// What a run has found.
#[derive(Default)]
struct Findings {
    sections: Vec<(String, Count)>,
    rows: Vec<Row>,
    /// Keys of intended differences that were met.
    met: BTreeSet<&'static str>,
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_answered_as_kafka_connect_answers_it() -> Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let starting = tokio::task::spawn_blocking(|| -> Result<(Kafka, Connect)> {
        let kafka = Kafka::start(&KafkaOptions::default())?;
        let properties = SETTINGS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let options = ConnectOptions {
            properties: properties.into(),
        };
        let connect = Connect::start(&kafka, &options)?;
        Ok((kafka, connect))
    });
    let bootstrap = tokio::task::spawn_blocking(|| Kafka::shared().map(Kafka::bootstrap)).await??;
    let settings = SETTINGS.map(|(key, value)| format!("{key}={value}"));
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let worker = WorkerProcess::start_with(folders[1].path(), Some(bootstrap), &settings)?;
    let (_kafka, connect) = starting.await??;
    let theirs = Side::new(connect.address(), folders[0].path(), "4.3.1")?;
    let ours = Side::new(
        worker.address(),
        folders[1].path(),
        env!("CARGO_PKG_VERSION"),
    )?;

    let mut findings = Findings::default();
    findings.run(script::LISTS, &theirs, &ours).await?;
    findings.check_keys();
    findings.nothing_wrong()?;
    report::check(&report::page(&findings.sections, &findings.rows))
}

/// What Kafka Connect answers once no rebalance is under way: during one it refuses without having done anything.
async fn settled(theirs: &Side, call: &Call) -> Result<Answer> {
    const REBALANCING: [&str; 4] = [
        "because a rebalance is expected",
        "likely because a rebalance was underway",
        "because of a conflicting operation",
        "momentarily due to stale configuration",
    ];
    let until = Instant::now() + SOON;
    loop {
        let answer = theirs.call(call).await?;
        let refused = REBALANCING.iter().any(|words| answer.body.contains(words));
        if !refused || Instant::now() > until {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until(side: &Side, who: &str, path: &str, text: &str) -> Result<()> {
    let (path, text) = (side.filled(path), side.filled(text));
    let what = format!("{who}: {path} holds {text}");
    wait_until(&what, SOON, || async {
        Ok(side.get(&path).await?.body.contains(&text))
    })
    .await
}

impl Findings {
    /// Sends the calls of these lists to both.
    async fn run(&mut self, lists: &[(&str, &str)], theirs: &Side, ours: &Side) -> Result<()> {
        for step in script::steps(lists)? {
            match step {
                Step::Until { path, text } => {
                    until(theirs, "Kafka Connect", &path, &text).await?;
                    until(ours, "Sluice", &path, &text).await?;
                }
                Step::Call(call) => self.take(call, theirs, ours).await?,
            }
        }
        Ok(())
    }

    fn nothing_wrong(&self) -> Result<()> {
        ensure!(
            self.wrong.is_empty(),
            "{} differences that nobody intends:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
        Ok(())
    }

    async fn take(&mut self, call: Call, theirs: &Side, ours: &Side) -> Result<()> {
        let shown = call.shown();
        let answers = tokio::join!(settled(theirs, &call), ours.call(&call));
        let their_answer = answers
            .0
            .with_context(|| format!("Kafka Connect: {shown}"))?;
        let our_answer = answers.1.with_context(|| format!("Sluice: {shown}"))?;
        let (theirs, ours) = (
            Neutral::of(&their_answer, theirs),
            Neutral::of(&our_answer, ours),
        );
        let fields = differences(&theirs, &ours, call.mode);
        let found = call
            .difference
            .as_ref()
            .and_then(|key| INTENDED.iter().find(|intended| intended.key == key));
        let count = self.count(&call.section);
        count.calls += 1;
        match found {
            Some(intended)
                if !fields.is_empty()
                    && fields.iter().all(|field| intended.fields.contains(field)) =>
            {
                count.intended += 1;
                self.met.insert(intended.key);
                let (theirs, ours) = summaries(&theirs, &ours);
                self.rows.push(Row {
                    key: intended.key,
                    theirs,
                    ours,
                    call,
                });
            }
            None if fields.is_empty() && call.difference.is_none() => {}
            _ => {
                let mut text = format!("{fields:?} of {}", shortened(&shown, 200));
                if let Some(key) = &call.difference {
                    text += &format!(" (@{key})");
                }
                if theirs.status != ours.status || theirs.message != ours.message {
                    text += &format!(
                        "\n  theirs {}\n  ours   {}",
                        theirs.summary(),
                        ours.summary()
                    );
                }
                for place in places(&theirs.body, &ours.body).iter().take(8) {
                    let place = format!("{}: {} | {}", place.at, place.theirs, place.ours);
                    text += &format!("\n  {}", shortened(&place, 400));
                }
                self.wrong.push(text);
            }
        }
        Ok(())
    }

    fn count(&mut self, section: &str) -> &mut Count {
        if self.sections.last().is_none_or(|(last, _)| last != section) {
            self.sections.push((section.to_owned(), Count::default()));
        }
        let (_, count) = self.sections.last_mut().expect("one was just pushed");
        count
    }

    /// An intended difference that no call shows any more is none.
    fn check_keys(&mut self) {
        for intended in INTENDED {
            if !self.met.contains(intended.key) {
                let text = format!("the intended difference {} is not met", intended.key);
                self.wrong.push(text);
            }
        }
    }
}
