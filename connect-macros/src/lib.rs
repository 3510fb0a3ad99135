//! `#[derive(ConnectorConfig)]`: one declaration per option gives definition, parser, default and documentation.
//!
//! ```text
//! #[derive(Debug, ConnectorConfig)]
//! struct Options {
//!     /// The doc comment is the option's documentation.
//!     #[option(name = "flush.size", importance = High, group = "Connector", validator = Validator::AtLeast(1))]
//!     flush_size: u32,
//!     #[option(flatten)]
//!     connection: ConnectionOptions,
//! }
//! ```
//!
//! Keys of `#[option]`: `name`, `default` (text; absent: required, or null for an `Option`), `importance` (High, Medium,
//! Low), `group`, `display`, `width` (None, Short, Medium, Long), `validator` (an expression of type `Validator`),
//! `kind` (an `OptionType`, where the field's own is not the right one), `unsupported` (why the option is refused).
//! Keys of `#[config]` on the struct: `group`, the default for its options.

mod attributes;
mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `connect_core::config::ConnectorConfig` and `serde::Deserialize` for a struct of options.
#[proc_macro_derive(ConnectorConfig, attributes(config, option))]
pub fn derive_connector_config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
