//! Generator source.
