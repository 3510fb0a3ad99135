//! Several workers in one group share connectors and tasks: whoever comes, goes, dies or is frozen.

mod brokers;
mod exactly_once;
mod keys;
mod members;
mod requests;
mod sharing;
