//! Generated code only: the messages of `proto/`. Who may use them is listed in ARCHITECTURE.md and enforced by a test.

/// Package `claudefs.repl.v1`: entries, batches, the conduit between sites.
#[expect(
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("claudefs.repl.v1");
}

/// Package `claudefs.repl.state.v1`: records that stay on this machine.
pub mod state {
    tonic::include_proto!("claudefs.repl.state.v1");
}
