//! The HTTP source against a server that paginates, fails, slows down and lies.

mod failures;
mod fetching;
mod model;
mod secrets;
mod support;
mod tls;
