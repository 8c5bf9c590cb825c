//! Generated code only: the messages of `proto/`. Who may use them is listed in ARCHITECTURE.md and enforced by a test.

pub use repl::admin::v1 as admin;
pub use repl::join::v1 as join;
pub use repl::state::v1 as state;
pub use repl::v1;

/// The modules as the packages name each other.
pub mod repl {
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

    /// What a daemon tells its operator.
    pub mod admin {
        /// Package `claudefs.repl.admin.v1`: status, lag, conflicts.
        #[expect(
            unused_qualifications,
            clippy::allow_attributes_without_reason,
            clippy::too_many_lines,
            reason = "generated"
        )]
        pub mod v1 {
            tonic::include_proto!("claudefs.repl.admin.v1");
        }
    }

    /// How a new site gets its certificate.
    pub mod join {
        /// Package `claudefs.repl.join.v1`: invitations, and how they are used.
        #[expect(
            unused_qualifications,
            clippy::allow_attributes_without_reason,
            reason = "generated"
        )]
        pub mod v1 {
            tonic::include_proto!("claudefs.repl.join.v1");
        }
    }

    /// What stays on a site's own disk.
    pub mod state {
        /// Package `claudefs.repl.state.v1`: logs, state store, intents.
        pub mod v1 {
            tonic::include_proto!("claudefs.repl.state.v1");
        }
    }
}
