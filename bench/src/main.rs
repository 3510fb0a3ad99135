//! Speed and memory of the worker on real services.
//!
//! Each run starts its own services. CPU time and peak memory are the worker's alone, as the kernel counts them; wall time
//! depends on what else the machine does.

mod kafka_to_postgres;
mod kafka_to_s3;
mod kafka_to_snowflake;
mod paused;
mod payment;
mod process;
mod produce;
mod runs;
mod sales;
mod startup;
mod worker;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Speed and memory of the worker on real services")]
struct Arguments {
    /// The binary to measure
    #[arg(long, default_value = "target/release/sluice")]
    sluice: PathBuf,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// A topic of a real Kafka to a Postgres table, beside psql
    KafkaToPostgres(kafka_to_postgres::Options),
    /// A topic of a real Kafka to S3 objects
    KafkaToS3(kafka_to_s3::Options),
    /// A topic of a real Kafka to a table of Snowflake's stand-in
    KafkaToSnowflake(kafka_to_snowflake::Options),
    /// Many paused connectors, beside Kafka Connect: memory, and the time a list takes
    Paused(paused::Options),
    /// `sluice produce` to a topic of a real Kafka
    Produce(produce::Options),
    /// From start to the first answer, on the embedded log; memory when idle
    Startup(startup::Options),
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.bench {
        Bench::KafkaToPostgres(options) => {
            kafka_to_postgres::run(&arguments.sluice, &options).await
        }
        Bench::KafkaToS3(options) => kafka_to_s3::run(&arguments.sluice, &options).await,
        Bench::KafkaToSnowflake(options) => {
            kafka_to_snowflake::run(&arguments.sluice, &options).await
        }
        Bench::Paused(options) => paused::run(&arguments.sluice, &options).await,
        Bench::Produce(options) => produce::run(&arguments.sluice, &options).await,
        Bench::Startup(options) => startup::run(&arguments.sluice, &options).await,
    }
}

/// The middle of some measurements; the upper one of two.
fn median<T: PartialOrd + Copy>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|left, right| left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len() / 2).copied()
}
