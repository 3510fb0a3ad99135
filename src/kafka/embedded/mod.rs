//! The log on local disk.
