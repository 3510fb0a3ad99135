//! CSV objects: a header row and a row per record.
//!
//! Holds always: an object is a pure function of its records and the options; every row has as many cells as the header.
//! [`Sheet`] is one object's; [`crate::encoder`] calls it.

mod cell;
mod options;
mod row;
mod scan;
mod sheet;

pub(crate) use options::CsvOptions;
pub(crate) use sheet::{Added, Sheet};
