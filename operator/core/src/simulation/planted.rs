//! Bugs to be found: a checker that finds nothing proves nothing.

/// A bug that a simulation carries. Each is a rule of ha.md that is broken in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum Planted {
    /// An election is content with one sealed member less than N - k.
    OneSealTooFew,
    /// A restarted agent has forgotten what it promised. (What an order was decided on is not checked either: that second
    /// guard, ADR 0010, hides the first one's absence.)
    PromiseNotPersisted,
    /// The promoted member drops what it received and had not applied (H11).
    ExecutedInsteadOfReceived,
    /// The longest log wins, whatever its last term record (H24).
    LengthAlone,
    /// History is the term of the primary that was followed last (H24).
    HistoryByFollowedPrimary,
    /// Clients come in before the term record is acknowledged.
    ClientsBeforeTermRecord,
    /// A sealed member goes on receiving.
    SealKeepsReceiving,
    /// A member outside the claim acknowledges (H23).
    NonMemberAcknowledges,
    /// A larger k is recorded before the primary waits for it (H21).
    ClaimTooEarly,
    /// The primary waits for fewer acknowledgements before that is recorded (H21).
    ClaimTooLate,
    /// The primary waits for fewer acknowledgements before it takes back what was proven (H21).
    LoweredTooLate,
    /// A member leaves the claim before the others have what only it had (H21).
    LeavesTooEarly,
    /// Commits under way do not count when a member leaves that acknowledged them (H21).
    OwnedForgotten,
    /// An agent takes orders of a lower term than it promised (H25), without the second guard.
    OrderWithoutTermCheck,
    /// An agent takes orders that were decided on an older state of it.
    OrderWithoutSeen,
    /// A member that received past the primary may be chosen like any other (H22).
    StraysForgotten,
    /// A deposed primary keeps its tail and follows on (H22).
    TailKept,
    /// A start of mysqld takes no notice of a copy that was not finished.
    IntentLost,
    /// A cloned server goes on numbering under its old UUID (ADR 0009).
    CloneKeepsUuid,
    /// The receiver's writes stay in the page cache (H20).
    RelayNotSynced,
    /// A start of mysqld throws away what was received (H10).
    RelayLogRecovery,
    /// Commits stop waiting for acknowledgements after a while (H5).
    SemiSyncTimesOut,
    /// The record is written whatever somebody else wrote meanwhile.
    RecordWithoutCompareAndSwap,
}
