//! End to end, on real services.

mod layers;
mod log_conformance;
mod p3;
mod ready_configs;
mod rest;
mod support;
