//! The connectors, converters and transforms linked into this binary: the only place that names them.

use sluice_connector_datagen as _;
use sluice_connector_file as _;
use sluice_connector_filestream as _;
use sluice_connector_http as _;
use sluice_connector_postgres as _;
use sluice_connector_s3 as _;
use sluice_connector_snowflake as _;
use sluice_converters as _;
use sluice_schema_registry as _;
use sluice_transforms as _;

/// Makes sure that this module, and with it every plugin, is part of the binary. Plugins register themselves.
pub fn link() {}
