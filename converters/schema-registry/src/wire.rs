//! The frame of a record: a zero byte, the schema's id in four bytes, big-endian, and the payload.

use bytes::{Buf, BufMut, Bytes};
use connect_core::{Error, Result};

const MAGIC: u8 = 0;

/// Bytes before the payload.
const HEAD: usize = 5;

/// A schema's number in its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SchemaId(pub(crate) u32);

/// The schema's id and the payload.
///
/// # Errors
/// A data error if the bytes were not written with a registry.
pub(crate) fn split(bytes: &Bytes) -> Result<(SchemaId, Bytes)> {
    let mut rest = bytes.clone();
    if rest.len() < HEAD || rest.get_u8() != MAGIC {
        return Err(Error::data("Unknown magic byte!").source(Error::data(
            "what is written with a Schema Registry begins with a zero byte and the schema's id",
        )));
    }
    let id = SchemaId(rest.get_u32());
    Ok((id, rest))
}

/// A frame without its payload.
pub(crate) fn head(id: SchemaId) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64);
    frame.put_u8(MAGIC);
    frame.put_u32(id.0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_is_the_records_fault() {
        for wrong in [&b""[..], b"\0\0\0\0", b"{\"a\":1}", b"\x01\0\0\0\x01"] {
            let error = split(&Bytes::from_static(wrong)).unwrap_err();
            assert_eq!(error.kind(), connect_core::ErrorKind::Data);
        }
        let mut frame = head(SchemaId(258));
        frame.extend_from_slice(b"xy");
        assert_eq!(frame, b"\0\0\0\x01\x02xy");
        let (id, payload) = split(&Bytes::from(frame)).unwrap();
        assert_eq!((id, &payload[..]), (SchemaId(258), &b"xy"[..]));
    }
}
