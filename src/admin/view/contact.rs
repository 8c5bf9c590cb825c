//! Pure: how a peer is reached, and what came of it.

use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::clock::{self, TimestampUs};

/// What came of the tries to reach a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct ContactView {
    /// Attempts to dial since the last connection.
    pub attempts: u64,
    /// When the next one is; null: none is planned, since it stands, is under way, is paused, or the peer has to dial.
    #[serde(flatten, serialize_with = "next::serialize")]
    #[schemars(schema_with = "next::schema")]
    pub next_us: Option<TimestampUs>,
    /// Pauses before the last attempts, oldest first; they begin anew with each connection.
    pub pauses_us: Vec<u64>,
    /// Since when it is connected, or not any more; null: it never was since the answering site started.
    #[serde(flatten, serialize_with = "since::serialize")]
    #[schemars(schema_with = "since::schema")]
    pub since_us: Option<TimestampUs>,
    /// Site name in the certificate that it showed last; null: it showed none yet, or there is no TLS.
    pub certificate_site: Option<String>,
    /// Where it is dialled, in order; none: it has to dial.
    pub endpoints: Vec<EndpointView>,
}

/// What came of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct EndpointView {
    /// Host and port.
    pub endpoint: String,
    /// When it was dialled last; null: never since the answering site started.
    #[serde(flatten, serialize_with = "tried::serialize")]
    #[schemars(schema_with = "tried::schema")]
    pub tried_us: Option<TimestampUs>,
    /// Why that failed; null: it did not, is under way, or there was none.
    pub error: Option<String>,
    /// Failures in a row.
    pub failures: u64,
}

/// What went over the connections to a peer, what was sent again included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct TrafficView {
    /// Entries to the peer.
    pub sent_entries: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Entries from the peer.
    pub received_entries: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Connections after the first.
    pub reconnects: u64,
}

moments! {
    next: "next_at" "next_us";
    since: "since_at" "since_us";
    tried: "tried_at" "tried_us";
}
