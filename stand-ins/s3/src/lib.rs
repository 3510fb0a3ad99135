//! An S3 server on a folder.
