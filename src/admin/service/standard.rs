//! The services that every gRPC tool knows: health (`grpc_health_probe`) and reflection (`grpcurl`).
//!
//! They stand beside the admin service on its socket, behind the same check of who asks. Health of the whole process
//! and of its services is "serving" from the moment on in which the socket exists, which is after the journal was
//! opened, until the daemon drains.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::error::{ReplError, Result};

/// Every message and service that the admin socket speaks, encoded.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.fds"));
/// The services whose health is told. Empty: the process. What other sites speak to is not reached here, and its
/// health is: whoever probes has no certificate of a site.
const SERVICES: [&str; 3] = [
    "",
    "claudefs.repl.admin.v1.Admin",
    "claudefs.repl.v1.Conduit",
];

/// Says of all services that they serve, or that they do not any more.
pub(super) async fn tell(reporter: &HealthReporter, serves: bool) {
    let status = if serves {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

/// Reflection in both versions of its protocol: older tools know the first one alone.
macro_rules! reflection {
    ($build:ident) => {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .$build()
            .map_err(|error| ReplError::serialization("service descriptors", error.to_string()))
    };
}

/// Reflection, `grpc.reflection.v1`.
pub(super) fn reflection() -> Result<
    tonic_reflection::server::v1::ServerReflectionServer<
        impl tonic_reflection::server::v1::ServerReflection,
    >,
> {
    reflection!(build_v1)
}

/// Reflection, `grpc.reflection.v1alpha`.
pub(super) fn reflection_alpha() -> Result<
    tonic_reflection::server::v1alpha::ServerReflectionServer<
        impl tonic_reflection::server::v1alpha::ServerReflection,
    >,
> {
    reflection!(build_v1alpha)
}
