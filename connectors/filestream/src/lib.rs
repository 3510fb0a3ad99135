//! `FileStreamSource` and `FileStreamSink`, as Apache Kafka brings them: lines of a file, or of standard input and output.
//!
//! `source` over `input` (where bytes come from) and `lines` (what a line is); `sink` over `output` (where lines go).

mod input;
mod lines;
mod output;
mod sink;
mod source;
