//! End to end, on real services.
#![expect(
    clippy::indexing_slicing,
    reason = "JSON answers are looked into: what is missing is null"
)]

mod demo;
mod deploy_scripts;
mod layers;
mod log_conformance;
mod p2;
mod p3;
mod p4;
mod produce;
mod ready_configs;
mod rest;
mod secrets;
mod support;
