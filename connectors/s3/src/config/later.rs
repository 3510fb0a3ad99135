//! Options of the original that are declared only to be refused by name.

use connect_core::Secret;
use connect_core::config::ConnectorConfig;

/// Options of the original that are not supported yet.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Not supported yet")]
pub(crate) struct LaterOptions {
    /// Fields of the field partitioner.
    #[option(
        name = "partition.field.name",
        default = "",
        unsupported = "the field partitioner"
    )]
    _partition_field: Vec<String>,
    /// Objects with keys.
    #[option(
        name = "store.kafka.keys",
        default = "false",
        unsupported = "objects with keys"
    )]
    _keys: bool,
    /// The format of keys.
    #[option(
        name = "keys.format.class",
        default = "io.confluent.connect.s3.format.avro.AvroFormat",
        unsupported = "objects with keys"
    )]
    _keys_format: String,
    /// Objects with headers.
    #[option(
        name = "store.kafka.headers",
        default = "false",
        unsupported = "objects with headers"
    )]
    _headers: bool,
    /// The format of headers.
    #[option(
        name = "headers.format.class",
        default = "io.confluent.connect.s3.format.avro.AvroFormat",
        unsupported = "objects with headers"
    )]
    _headers_format: String,
    /// How schemas may change within an object.
    #[option(
        name = "schema.compatibility",
        default = "NONE",
        unsupported = "projection of schemas"
    )]
    _schema_compatibility: String,
    /// Avro's compression.
    #[option(name = "avro.codec", default = "null", unsupported = "the Avro format")]
    _avro_codec: String,
    /// Parquet's compression.
    #[option(
        name = "parquet.codec",
        default = "snappy",
        unsupported = "the Parquet format"
    )]
    _parquet_codec: String,
    /// How decimals are written.
    #[option(
        name = "json.decimal.format",
        default = "BASE64",
        unsupported = "decimals as numbers"
    )]
    _decimal_format: String,
    /// A class that gives credentials.
    #[option(
        name = "s3.credentials.provider.class",
        default = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
        unsupported = "credential classes; the usual AWS credentials are found without one"
    )]
    _credentials_class: String,
    /// A key of the customer's own.
    #[option(name = "s3.sse.customer.key", unsupported = "customer keys")]
    _customer_key: Option<Secret<String>>,
    /// Transfer acceleration.
    #[option(
        name = "s3.wan.mode",
        default = "false",
        unsupported = "transfer acceleration"
    )]
    _wan_mode: bool,
    /// A proxy.
    #[option(
        name = "s3.proxy.url",
        default = "",
        unsupported = "proxies; HTTPS_PROXY is not used either"
    )]
    _proxy: String,
    /// Tags on objects.
    #[option(name = "s3.object.tagging", default = "false", unsupported = "tags")]
    _tagging: bool,
    /// More tags on objects.
    #[option(
        name = "s3.object.tagging.key.value.pairs",
        default = "",
        unsupported = "tags"
    )]
    _tags: Vec<String>,
    /// The schema's name in the path.
    #[option(
        name = "s3.schema.partition.affix.type",
        default = "NONE",
        unsupported = "schema names in paths"
    )]
    _schema_affix: String,
    /// An MD5 sum with every part.
    #[option(
        name = "s3.send.digest",
        default = "false",
        unsupported = "MD5 sums; requests are signed"
    )]
    _send_digest: bool,
}
