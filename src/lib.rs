//! The worker: a Kafka Connect worker in one binary.
//!
//! Modules stand in order: a file may use what stands above its module in this list, never below.

pub mod kafka;

pub mod storage;

pub mod runtime;

pub mod rest;

pub mod cli;

pub mod plugins;
