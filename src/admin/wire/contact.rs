//! Pure: how a peer is reached, between views and the wire.

use crate::admin::view::{ContactView, EndpointView, TrafficView};
use crate::proto::admin as pb;

pub(super) fn contact_to(contact: ContactView) -> pb::Contact {
    pb::Contact {
        attempts: contact.attempts,
        next_us: contact.next_us,
        pauses_us: contact.pauses_us,
        since_us: contact.since_us,
        certificate_site: contact.certificate_site,
        endpoints: contact.endpoints.into_iter().map(endpoint_to).collect(),
    }
}

pub(super) fn contact_from(contact: pb::Contact) -> ContactView {
    ContactView {
        attempts: contact.attempts,
        next_us: contact.next_us,
        pauses_us: contact.pauses_us,
        since_us: contact.since_us,
        certificate_site: contact.certificate_site,
        endpoints: contact.endpoints.into_iter().map(endpoint_from).collect(),
    }
}

fn endpoint_to(endpoint: EndpointView) -> pb::EndpointTries {
    pb::EndpointTries {
        endpoint: endpoint.endpoint,
        tried_us: endpoint.tried_us,
        error: endpoint.error,
        failures: endpoint.failures,
    }
}

fn endpoint_from(endpoint: pb::EndpointTries) -> EndpointView {
    EndpointView {
        endpoint: endpoint.endpoint,
        tried_us: endpoint.tried_us,
        error: endpoint.error,
        failures: endpoint.failures,
    }
}

pub(super) const fn traffic_to(traffic: TrafficView) -> pb::Traffic {
    pb::Traffic {
        sent_entries: traffic.sent_entries,
        sent_bytes: traffic.sent_bytes,
        received_entries: traffic.received_entries,
        received_bytes: traffic.received_bytes,
        reconnects: traffic.reconnects,
    }
}

pub(super) const fn traffic_from(traffic: pb::Traffic) -> TrafficView {
    TrafficView {
        sent_entries: traffic.sent_entries,
        sent_bytes: traffic.sent_bytes,
        received_entries: traffic.received_entries,
        received_bytes: traffic.received_bytes,
        reconnects: traffic.reconnects,
    }
}
