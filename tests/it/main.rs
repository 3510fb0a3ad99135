//! End to end, on real services.
#![expect(
    clippy::indexing_slicing,
    reason = "JSON answers are looked into: what is missing is null"
)]

mod client_overrides;
mod confluent_datagen;
mod container;
mod dead_letters;
mod demo;
mod deploy_files;
mod deploy_scripts;
mod distributed;
mod dlq;
mod dry_run;
mod errors;
mod errors_compared;
mod exactly_once;
mod filestream;
mod full_disk;
mod guides;
mod image;
mod layers;
mod lifecycle;
mod log_conformance;
mod metrics;
mod oracle;
mod p1;
mod p2;
mod p3;
mod p4;
mod pipeline;
mod planted_secrets;
mod produce;
mod ready_configs;
mod rest;
mod rest_clients;
mod rest_listeners;
mod schema_registry;
mod secrets;
mod stores;
mod support;
mod takeover;
mod topic_creation;
mod worker_group;
