//! Several workers in one group share connectors and tasks: whoever comes, goes, dies or is frozen.

mod brokers;
mod eager;
mod exactly_once;
mod health;
mod https;
mod keys;
mod members;
mod requests;
mod sharing;
