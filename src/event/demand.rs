//! What a consumer can use, so that a decoder may skip the rest unread.

/// The records that are worth decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// None: nobody listens.
    #[default]
    Nothing,
    /// Records that could be an evaluation, however they are written.
    Evaluations,
    /// All.
    Everything,
}

impl Demand {
    /// What two consumers want between them.
    pub fn join(self, other: Demand) -> Demand {
        self.max(other)
    }
}
