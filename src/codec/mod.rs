//! Bytes to events and back: framing, decoding, encoding. Pure: it is handed bytes and the time.

mod boot;
mod compression;
pub mod decode;
pub mod encode;
pub mod fault;
mod feed;
pub mod framing;
mod inner;
mod livebook;
mod places;
mod search;
pub mod sieve;
pub mod text;
pub mod unwrap;
pub mod zone;

pub use compression::Compression;
pub use decode::{Chunk, Codec, Decoded, Decoder, Decoding, RecordBytes, Settings};
pub use encode::{Encoder, Encoding, EncodingCodec, Schema, harmless_into, livebook_form};
pub use fault::{Fault, FaultKind};
pub use feed::Feed;
pub use unwrap::Unwrap;
