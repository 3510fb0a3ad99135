//! Real services for tests: each gets, starts and stops its own.
//!
//! What a service needs is fetched once into the cache folder (`SLUICE_CACHE`, else `$XDG_CACHE_HOME/sluice`, else
//! `~/.cache/sluice`). Services listen on 127.0.0.1 at free ports and die with the process that started them.

mod cache;
mod connect;
mod jars;
mod kafka;
mod kafka_cluster;
mod postgres;
mod process;
mod schema_registry;

pub use cache::cache_folder;
pub use connect::{Connect, ConnectOptions};
pub use jars::{avro_converter_jars, kafka_jars};
pub use kafka::{Kafka, KafkaOptions};
pub use kafka_cluster::KafkaCluster;
pub use postgres::{Postgres, PostgresOptions};
pub use process::{Service, free_port};
pub use schema_registry::SchemaRegistry;
