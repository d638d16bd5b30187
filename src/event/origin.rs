//! Where a record came from: the metadata that VRL reads as `%source`, `%offset`, `%id`, ...

use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What all records of one stream (one file, one connection, standard input) have in common.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Id of the source component: `%source`.
    pub source: String,
    /// Path of the file, where it was one: `%file`.
    pub file: Option<String>,
    /// The container or unit that wrote it, where a wrapper around its lines says so: `%container`.
    pub container: Option<String>,
    /// IP address of whoever sent it, where it came over a network: `%peer`.
    pub peer: Option<String>,
    /// The connection that it came by, where there was one: requests of one connection keep their order.
    pub connection: Option<u64>,
    /// Why a sink has rejected this record; then it stands in a stream of its own.
    pub refusal: Option<Refusal>,
    /// What tells this stream from others of the same source, the same after a restart where the source can know it:
    /// a file's fingerprint. Part of `%id`.
    pub fingerprint: u64,
}

impl Stream {
    /// What comes from streams of one number has to arrive in the order in which it was read.
    pub fn order(&self) -> u64 {
        self.connection.unwrap_or(self.fingerprint)
    }
}

/// Why a sink could not get rid of a record.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `refused` by the receiver, or `given_up` after as many attempts as there may be: `%reject_reason`.
    pub reason: String,
    /// The status of the answer, where there was one: `%reject_status`.
    pub status: Option<u16>,
    /// What the receiver said, or why there was no answer: `%reject_answer`.
    pub answer: String,
}

/// Where one record was read, and when. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Origin {
    stream: Arc<Stream>,
    offset: u64,
    received_ms: u64,
    /// Which of the events that were made of one record this is.
    part: u32,
}

impl Origin {
    /// `offset` counts bytes from the start of the stream, `received_ms` milliseconds since 1970 in UTC.
    pub fn new(stream: Arc<Stream>, offset: u64, received_ms: u64) -> Origin {
        Origin { stream, offset, received_ms, part: 0 }
    }

    /// For events that come from no source: tests, benches.
    pub fn nowhere() -> Origin {
        Origin::new(Arc::default(), 0, 0)
    }

    /// The origin of the event with the number `part`, where several were made of one record; the first has 0.
    pub fn with_part(&self, part: u32) -> Origin {
        Origin { part, ..self.clone() }
    }

    /// Which of the events that were made of one record this is.
    pub fn part(&self) -> u32 {
        self.part
    }

    /// The stream it was read from.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether both were read from one stream; where it can't be told without comparing names, they were not.
    pub fn is_beside(&self, other: &Origin) -> bool {
        Arc::ptr_eq(&self.stream, &other.stream)
    }

    /// Offset of the record's first byte in its stream: `%offset`.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// When the record was read, in milliseconds since 1970, UTC: `%received` (in VRL a time, elsewhere
    /// RFC 3339 text).
    pub fn received_ms(&self) -> u64 {
        self.received_ms
    }

    /// `%id`: a hash of source, fingerprint and offset (and part) in 32 hexadecimal digits, so that a store downstream can tell
    /// a repeat from a new record.
    pub fn id(&self) -> String {
        format!("{:032x}", self.id_number())
    }

    /// The same as a number.
    pub fn id_number(&self) -> u128 {
        let mut hash = Sha256::new();
        hash.update((self.stream.source.len() as u64).to_be_bytes());
        hash.update(self.stream.source.as_bytes());
        hash.update(self.stream.fingerprint.to_be_bytes());
        hash.update(self.offset.to_be_bytes());
        if self.part > 0 {
            hash.update(self.part.to_be_bytes());
        }
        hash.finalize().iter().take(16).fold(0, |id, &byte| id << 8 | u128::from(byte))
    }
}

/// Eight bytes of a SHA-256 over `parts`, each with its length: what streams are told from each other by.
pub fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_each_part_of_where_it_was_read() {
        let id = |source: &str, fingerprint, offset| {
            Origin::new(
                Arc::new(Stream { source: source.into(), fingerprint, ..Stream::default() }),
                offset,
                5,
            )
            .id()
        };
        let part =
            Origin::new(Arc::new(Stream { source: "a".into(), ..Stream::default() }), 0, 5).with_part(1);
        let ids = [id("a", 0, 0), id("b", 0, 0), id("a", 1, 0), id("a", 0, 1), part.id()];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), 5);
        assert_eq!(id("a", 0, 0), ids[0]);
        assert_eq!(ids[0].len(), 32);
    }
}
