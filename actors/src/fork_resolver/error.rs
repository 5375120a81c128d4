//! Why sessions end, and what follows from it for the peer.

use crate::frames::FrameError;
use mvb_protocol::{
    chain::StoreError,
    hash::BlockId,
    validate::{BlockError, Verdict},
    wire::{WIRE_VERSION, WireError},
};
use std::{io, time::Duration};

/// Why a session ended before its work was done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The peer took too long to begin.
    #[error("no {what} in time")]
    NoBeginning {
        /// What was due.
        what: &'static str,
    },
    /// The peer took too long once it had begun, or its link broke without a word.
    #[error("no {what} in time")]
    Timeout {
        /// What was due.
        what: &'static str,
    },
    /// The connection broke, or a frame was too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message could not be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer is this node itself.
    #[error("connected to this node itself")]
    Echo,
    /// The peer is of another network.
    #[error("the peer runs {differences}")]
    OtherNetwork {
        /// In which parameters, theirs and ours.
        differences: String,
    },
    /// The peer speaks other versions.
    #[error("the peer speaks versions {least} to {greatest}, expected {WIRE_VERSION}")]
    Version {
        /// The least it speaks.
        least: u8,
        /// The greatest it speaks.
        greatest: u8,
    },
    /// The peer sent what was not asked for.
    #[error("got {got}, expected {expected}")]
    Unrequested {
        /// What came.
        got: String,
        /// What was due.
        expected: String,
    },
    /// Its headers do not begin on this node's chain.
    #[error("headers follow {previous:.8}, which is not on this chain")]
    Unlinked {
        /// What they follow.
        previous: BlockId,
    },
    /// A header or a block breaks a rule.
    #[error("block {id:.8}: {error}")]
    BadBlock {
        /// The block.
        id: BlockId,
        /// The rule.
        error: BlockError,
    },
    /// Its chain is not what it claimed.
    #[error("claimed tip {claimed:.8} in its hello, but its headers do not lead there")]
    Unproven {
        /// What it claimed.
        claimed: BlockId,
    },
    /// It does not have a block of its own chain, or no longer.
    #[error("block {id:.8} is not there")]
    NotFound {
        /// The block.
        id: BlockId,
    },
    /// Its branch needs more memory than is spared for one.
    #[error("a branch of {blocks} blocks is too large to hold")]
    TooLarge {
        /// How many blocks it has so far.
        blocks: usize,
    },
    /// This node's chain moved each time a plan was made.
    #[error("this chain moved too often to follow the peer's")]
    Moved,
    /// This node's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

/// What follows from the end of a session for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// It did what it should.
    Fine {
        /// Whether any of its blocks were adopted.
        adopted: bool,
    },
    /// It could not be reached, or the connection broke.
    Unreachable,
    /// It was reached, and then fell silent: its link may have broken.
    Silent,
    /// A block of its is too far ahead of this node's clock, and will not be for ever.
    TooEarly {
        /// By how much.
        by: Duration,
    },
    /// It was reached, but could not or would not deliver.
    Failed,
    /// It did what no honest peer does.
    Misbehaved,
    /// This node failed; nothing is said of the peer.
    OwnFault,
}

impl SessionError {
    /// What follows for the peer.
    pub fn conclusion(&self) -> Conclusion {
        match self {
            Self::Connect(_)
            | Self::NoBeginning { .. }
            | Self::Frame(FrameError::Closed | FrameError::Io(_)) => Conclusion::Unreachable,
            Self::BadBlock { error, .. } if error.verdict() == Verdict::NotYet => match error {
                BlockError::TooFarAhead { got, most } => Conclusion::TooEarly {
                    by: Duration::from_millis(got.0.saturating_sub(most.0)),
                },
                _ => Conclusion::Failed,
            },
            Self::Timeout { .. } => Conclusion::Silent,
            Self::OtherNetwork { .. }
            | Self::Version { .. }
            | Self::Wire(WireError::Version { .. } | WireError::NotMvb)
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::Moved => Conclusion::Failed,
            Self::Frame(FrameError::Length { .. })
            | Self::Wire(_)
            | Self::Echo
            | Self::Unrequested { .. }
            | Self::Unlinked { .. }
            | Self::BadBlock { .. }
            | Self::Unproven { .. } => Conclusion::Misbehaved,
            Self::Store(_) | Self::Stopping => Conclusion::OwnFault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mvb_protocol::{hash::ContentRoot, numbers::Timestamp};

    #[test]
    fn only_a_block_that_breaks_a_rule_for_ever_is_misbehaviour() {
        let [id, previous] = [BlockId([1; 32]), BlockId([2; 32])];
        let too_far_ahead = BlockError::TooFarAhead {
            got: Timestamp(5_000),
            most: Timestamp(2_000),
        };
        let wrong = BlockError::ContentRoot {
            got: ContentRoot([3; 32]),
            expected: ContentRoot([4; 32]),
        };
        let by = Duration::from_secs(3);
        for (error, conclusion) in [
            (too_far_ahead, Conclusion::TooEarly { by }),
            (BlockError::UnknownParent { previous }, Conclusion::Failed),
            (wrong, Conclusion::Misbehaved),
        ] {
            let error = SessionError::BadBlock { id, error };
            assert_eq!(error.conclusion(), conclusion, "{error}");
        }
    }
}
