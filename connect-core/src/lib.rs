//! All that a Sluice plugin sees: records, configuration, plugin traits, errors, time.
//!
//! A connector, converter or transform depends on this crate alone. There is no Kafka client and
//! no HTTP server in here, so a plugin cannot reach around the runtime.

// The derive macro writes paths that begin with `::connect_core`; inside this crate they resolve here.
extern crate self as connect_core;

pub mod clock;
pub mod config;
pub mod data;
mod error;
pub mod named_file;
pub mod output;
pub mod plugin;
pub mod retry;
mod secret;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use config::ConnectorConfig;
pub use error::{Error, ErrorKind, Result, RetryVerdict};
pub use secret::{Secret, without_userinfo};

/// What the derive macro's output refers to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
}

pub use inventory;
pub use typetag;
