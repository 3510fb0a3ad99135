//! A topic of payments on a real Kafka, read to its end into a Postgres table; beside psql, which copies the same rows.
//!
//! psql reads them from a file in Postgres's own binary form: the least that bringing rows into a table takes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaOptions, Postgres, PostgresOptions};

use crate::median;
use crate::payment::Payment;
use crate::worker::Worker;

const TOPIC: &str = "payments";
const NAME: &str = "bench";
const DATABASE: &str = "postgres";
/// The table that both write, and the one that keeps what they must have written.
const TABLE: &str = "payments";
const REFERENCE: &str = "reference";
const COLUMNS: &str = "payment_id bigint NOT NULL, customer_id text, paid_at timestamptz, \
    amount double precision, currency text, quantity integer, is_refund boolean";
/// The longest a run may take.
const DEADLINE: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Records in the topic, and rows of 7 columns; about 170 bytes of JSON each
    #[arg(long, default_value_t = 2_000_000)]
    rows: u64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// `batch.size`
    #[arg(long, default_value_t = 20_000)]
    batch_size: u64,
    /// `tasks.max`
    #[arg(long, default_value_t = 1)]
    tasks: u32,
    /// `delivery.guarantee`
    #[arg(long, default_value = "at_least_once")]
    guarantee: String,
    /// How many runs of each kind, each by a new worker
    #[arg(long, default_value_t = 3)]
    repeat: u32,
}

/// What is done to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// All rows are new, no key.
    Append,
    /// Every other row is there and replaced.
    Upsert,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Upsert => "upsert",
        }
    }

    fn sink_options(self) -> Value {
        match self {
            Self::Append => json!({ "insert.mode": "insert", "pk.mode": "none" }),
            Self::Upsert => json!({
                "insert.mode": "upsert",
                "pk.mode": "record_value",
                "pk.fields": "payment_id",
            }),
        }
    }

    /// Makes the table anew, as it is before a run.
    fn prepare(self, postgres: &Postgres) -> Result<()> {
        let mut sql = format!("DROP TABLE IF EXISTS {TABLE}; CREATE TABLE {TABLE} ({COLUMNS});");
        if self == Self::Upsert {
            sql.push_str(&format!(
                "ALTER TABLE {TABLE} ADD PRIMARY KEY (payment_id);
                 INSERT INTO {TABLE} SELECT payment_id, 'old', paid_at, amount, currency, 0, is_refund
                 FROM {REFERENCE} WHERE payment_id % 2 = 0;"
            ));
        }
        sql.push_str(&format!("ANALYZE {TABLE};"));
        postgres.sql(DATABASE, &sql)?;
        // What was written before is not to be paid for in the measurement.
        postgres.sql(DATABASE, "CHECKPOINT")?;
        Ok(())
    }

    /// What psql runs on a file of rows.
    fn psql(self, file: &Path) -> Vec<String> {
        let copy =
            |table: &str| format!("\\copy {table} from '{}' (format binary)", file.display());
        match self {
            Self::Append => vec![copy(TABLE)],
            Self::Upsert => vec![
                format!("CREATE TEMP TABLE staged (LIKE {TABLE})"),
                copy("staged"),
                format!(
                    "INSERT INTO {TABLE} SELECT * FROM staged ON CONFLICT (payment_id) DO UPDATE SET
                     customer_id = EXCLUDED.customer_id, paid_at = EXCLUDED.paid_at, amount = EXCLUDED.amount,
                     currency = EXCLUDED.currency, quantity = EXCLUDED.quantity, is_refund = EXCLUDED.is_refund"
                ),
            ],
        }
    }
}

/// What one run of the sink took.
struct Run {
    /// From the deployment to the last row.
    wall: Duration,
    /// From the deployment to the first rows: the worker joins its group, the sink connects.
    begin: Duration,
    cpu: Duration,
    peak_resident: u64,
}

struct Bench<'a> {
    sluice: &'a Path,
    options: &'a Options,
    kafka: Kafka,
    postgres: Postgres,
    folder: tempfile::TempDir,
}

pub(crate) async fn run(sluice: &Path, options: &Options) -> Result<()> {
    let bench = Bench {
        sluice,
        options,
        kafka: Kafka::start(&KafkaOptions::default())?,
        postgres: Postgres::start(&PostgresOptions {
            settings: settings(),
            tls: None,
        })?,
        folder: tempfile::tempdir()?,
    };
    bench.kafka.create_topic(TOPIC, options.partitions, &[])?;
    bench.fill_topic()?;
    bench.fill_reference()?;
    println!(
        "{} rows of 7 columns in {} partitions, batch.size {}, tasks.max {}, {}",
        options.rows, options.partitions, options.batch_size, options.tasks, options.guarantee
    );
    for mode in [Mode::Append, Mode::Upsert] {
        bench.compare(mode).await?;
    }
    Ok(())
}

/// Room for the log, so that no checkpoint falls into one run and not into the next.
fn settings() -> std::collections::BTreeMap<String, String> {
    [
        ("shared_buffers", "512MB"),
        ("max_wal_size", "8GB"),
        ("checkpoint_timeout", "1h"),
        ("autovacuum", "off"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

impl Bench<'_> {
    /// psql and the sink in turns: what the machine does beside them meets both.
    async fn compare(&self, mode: Mode) -> Result<()> {
        let (mut psql, mut sink) = (Vec::new(), Vec::new());
        for number in 1..=self.options.repeat {
            psql.push(self.by_psql(mode)?);
            let run = self.by_sink(mode, number).await?;
            println!(
                "{} {number}: psql {:.2} s; sink {:.2} s after {:.2} s to begin, {:.2} CPU s, peak RSS {} MB",
                mode.name(),
                psql.last().map_or(0.0, Duration::as_secs_f64),
                (run.wall - run.begin).as_secs_f64(),
                run.begin.as_secs_f64(),
                run.cpu.as_secs_f64(),
                run.peak_resident / 1_000_000,
            );
            sink.push(run);
        }
        self.summarize(mode, &psql, &sink)
    }

    fn summarize(&self, mode: Mode, psql: &[Duration], sink: &[Run]) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        let millions = self.options.rows as f64 / 1e6;
        let rate = |duration: Duration| millions * 1e3 / duration.as_secs_f64();
        let middle = |values: Vec<f64>| median(&values).context("at least one run");
        let psql = middle(psql.iter().copied().map(rate).collect())?;
        let all = middle(sink.iter().map(|run| rate(run.wall)).collect())?;
        let flowing = sink.iter().map(|run| rate(run.wall - run.begin));
        let flowing = middle(flowing.collect())?;
        let cpu = sink.iter().map(|run| run.cpu.as_secs_f64() / millions);
        let peak = sink.iter().map(|run| run.peak_resident / 1_000_000).max();
        println!(
            "kafka to postgres, {}: {flowing:.0} thousand rows/s, {:.0} % of psql's {psql:.0}; {all:.0} with the time to \
             begin, {:.0} %; {:.2} CPU s per million rows (medians of {}), peak RSS {} MB",
            mode.name(),
            100.0 * flowing / psql,
            100.0 * all / psql,
            middle(cpu.collect())?,
            sink.len(),
            peak.unwrap_or_default()
        );
        Ok(())
    }

    /// The same number of records in each partition, written by kcat.
    fn fill_topic(&self) -> Result<()> {
        let partitions = u64::from(self.options.partitions.max(1));
        let lines = self.folder.path().join("lines");
        for partition in 0..partitions {
            write_records(
                &lines,
                (partition..self.options.rows).step_by(usize::try_from(partitions)?),
            )?;
            let status = Command::new("kcat")
                .args(["-P", "-b", &self.kafka.bootstrap(), "-t", TOPIC, "-l"])
                .args(["-p", &partition.to_string()])
                .arg(&lines)
                .status()
                .context("kcat")?;
            ensure!(status.success(), "kcat ended with {status}");
        }
        std::fs::remove_file(lines)?;
        Ok(())
    }

    /// The rows that the records stand for, and psql's file of them.
    fn fill_reference(&self) -> Result<()> {
        let rows = self.folder.path().join("csv");
        let mut file = BufWriter::new(File::create(&rows)?);
        for index in 0..self.options.rows {
            let payment = Payment::number(index);
            writeln!(file, "{}", payment.csv())?;
        }
        file.flush()?;
        let create = format!("CREATE TABLE {REFERENCE} ({COLUMNS})");
        let read = format!("\\copy {REFERENCE} from '{}' csv", rows.display());
        let write = format!(
            "\\copy {REFERENCE} to '{}' (format binary)",
            self.file().display()
        );
        self.psql(&[create, read, write])?;
        std::fs::remove_file(rows)?;
        Ok(())
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("binary")
    }

    fn psql(&self, commands: &[String]) -> Result<()> {
        let arguments: Vec<&str> = commands
            .iter()
            .flat_map(|command| ["-c", command])
            .collect();
        let output = self.postgres.psql(DATABASE, &arguments)?;
        ensure!(
            output.status.success(),
            "psql: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn by_psql(&self, mode: Mode) -> Result<Duration> {
        mode.prepare(&self.postgres)?;
        let commands = mode.psql(&self.file());
        let begun = Instant::now();
        self.psql(&commands)?;
        let wall = begun.elapsed();
        self.verify()?;
        Ok(wall)
    }

    /// One worker from its deployment until the last row is there.
    async fn by_sink(&self, mode: Mode, number: u32) -> Result<Run> {
        mode.prepare(&self.postgres)?;
        let folder = tempfile::tempdir()?;
        let worker =
            Worker::start(self.sluice, folder.path(), Some(&self.kafka.bootstrap())).await?;
        let watch = Watch::start(&self.postgres, mode, self.options).await?;
        let begun = Instant::now();
        let before = worker.usage()?;
        worker.deploy(NAME, &self.config(mode, number)).await?;
        let mut begin = None;
        for look in 1_u64.. {
            let size = watch.bytes_of(TABLE).await?;
            if size > watch.size {
                begin.get_or_insert_with(|| begun.elapsed());
            }
            if size >= watch.least && watch.is_last_row_there().await? {
                break;
            }
            if look % 100 == 0 {
                let status = worker.status(NAME).await?;
                let has_failed = begun.elapsed() > DEADLINE || status.contains("FAILED");
                ensure!(!has_failed, "not done: {status}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let wall = begun.elapsed();
        let after = worker.usage()?;
        drop(worker);
        self.verify()?;
        Ok(Run {
            wall,
            begin: begin.unwrap_or_default(),
            cpu: after.cpu.saturating_sub(before.cpu),
            peak_resident: after.peak_resident,
        })
    }

    fn config(&self, mode: Mode, number: u32) -> Value {
        let mut config = json!({
            "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
            "tasks.max": self.options.tasks.to_string(),
            "topics": TOPIC,
            "connection.url": self.postgres.jdbc_url(DATABASE),
            "connection.user": Postgres::USER,
            "connection.password": Postgres::PASSWORD,
            "table.name.format": TABLE,
            "batch.size": self.options.batch_size.to_string(),
            "delivery.guarantee": self.options.guarantee,
            "delivery.offsets.table": format!("offsets_{}_{number}", mode.name()),
            "consumer.override.group.id": format!("bench-{}-{number}", mode.name()),
        });
        if let (Some(config), Value::Object(options)) =
            (config.as_object_mut(), mode.sink_options())
        {
            config.extend(options);
        }
        config
    }

    /// Rows are compared: a fast run that wrote too little, too much or something else is none.
    fn verify(&self) -> Result<()> {
        let sum = |table: &str| {
            let sql = format!("SELECT count(*), sum(hashtext(r::text)::bigint) FROM {table} r");
            self.postgres.sql(DATABASE, &sql)
        };
        let (written, expected) = (sum(TABLE)?, sum(REFERENCE)?);
        ensure!(
            written == expected,
            "count and sum {written}, not {expected}"
        );
        Ok(())
    }
}

/// Looks at the table while the sink writes, in ways that cost the server next to nothing.
struct Watch {
    client: tokio_postgres::Client,
    /// Bytes of the table before.
    size: i64,
    /// Bytes it has when all rows are there, or fewer: without an index, rows are not looked for sooner.
    least: i64,
    last_rows: String,
    partitions: i64,
}

impl Watch {
    async fn start(postgres: &Postgres, mode: Mode, options: &Options) -> Result<Self> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(postgres.port());
        config.user(Postgres::USER).password(Postgres::PASSWORD);
        config.dbname(DATABASE);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        // The records of a partition are written in order.
        let partitions = u64::from(options.partitions).min(options.rows);
        let first = options.rows - partitions;
        let mut watch = Self {
            client,
            size: 0,
            least: 0,
            last_rows: format!(
                "SELECT count(*) FROM {TABLE} WHERE payment_id >= {first} AND quantity > 0"
            ),
            partitions: i64::try_from(partitions)?,
        };
        watch.size = watch.bytes_of(TABLE).await?;
        if mode == Mode::Append {
            watch.least = watch.bytes_of(REFERENCE).await? / 100 * 95;
        }
        Ok(watch)
    }

    async fn bytes_of(&self, table: &str) -> Result<i64> {
        self.number(&format!("SELECT pg_relation_size('{table}')"))
            .await
    }

    /// Of every partition.
    async fn is_last_row_there(&self) -> Result<bool> {
        Ok(self.number(&self.last_rows).await? == self.partitions)
    }

    async fn number(&self, sql: &str) -> Result<i64> {
        Ok(self.client.query_one(sql, &[]).await?.try_get(0)?)
    }
}

fn write_records(path: &Path, indices: impl Iterator<Item = u64>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for index in indices {
        writeln!(file, "{}", Payment::number(index).json())?;
    }
    file.flush()?;
    Ok(())
}
