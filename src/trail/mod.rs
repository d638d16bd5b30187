//! A trail on disk: records that nobody can change, remove, insert or reorder without being seen.
//!
//! It is a transparency log: the records are the leaves of a Merkle tree (RFC 6962, SHA-256), and a *checkpoint*, signed
//! with Ed25519, says how many there are and what the root of the tree is. The formats are public ones, so that anyone
//! can check a trail with other programs than this: checkpoints are [tlog-checkpoint](https://c2sp.org/tlog-checkpoint),
//! which are [signed notes](https://c2sp.org/signed-note); the hashes lie in tiles as
//! [tlog-tiles](https://c2sp.org/tlog-tiles) has them; a proof is a [tlog-proof](https://c2sp.org/tlog-proof).
//!
//! The records themselves are plain lines of JSON. (The entry bundles of tlog-tiles hold at most 65,535 bytes an entry,
//! and the code of a cell is longer.) The leaf of a record is the hash of its exact bytes, without the newline.
//!
//! ```text
//! audit/
//!   checkpoint                           the signed size and root
//!   minimum-index                        signed too: the first record that is kept, once retention has removed some
//!   records/00000000000000000000.jsonl   records, each file named by the index of its first
//!   tile/0/000, tile/0/001.p/17, ...     hashes, 256 in a full tile
//! ```

mod grep;
pub mod hashes;
mod journal;
pub mod key;
pub mod layout;
pub mod note;
pub mod proof;
pub mod query;
pub mod records;
mod recover;
mod retain;
mod sync;
pub mod tree;
pub mod verify;
pub mod when;
mod writer;

pub use retain::Retention;
pub use writer::{Settings, Writer};

#[cfg(test)]
mod tests;
