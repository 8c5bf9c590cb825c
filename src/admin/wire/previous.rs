//! A program of this version and a daemon of the previous one, and the other way round, through the descriptors of that
//! version: what it does not say is unknown, and never zero.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};

use super::super::view::tests::{conflict, detail, lag, status};
use super::*;

fn previous() -> DescriptorPool {
    let bytes = include_bytes!("../../../proto/previous/cfs-repl.binpb");
    DescriptorPool::decode(bytes.as_slice()).unwrap()
}

/// A message of the previous version with these fields.
fn old(name: &str, fields: &[(&str, Value)]) -> DynamicMessage {
    let full = format!("claudefs.repl.admin.v1.{name}");
    let mut message = DynamicMessage::new(previous().get_message_by_name(&full).unwrap());
    for (name, value) in fields {
        message.set_field_by_name(name, value.clone());
    }
    message
}

/// The same as the code of this version reads it.
fn read<M: prost::Message + Default>(message: &DynamicMessage) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

/// A message of this version as the previous one reads it.
fn read_by_old(name: &str, message: &impl prost::Message) -> DynamicMessage {
    let full = format!("claudefs.repl.admin.v1.{name}");
    let descriptor = previous().get_message_by_name(&full).unwrap();
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap()
}

#[test]
fn what_an_older_daemon_does_not_say_is_unknown_and_never_zero() {
    let empty = |name| Value::Message(old(name, &[]));
    let site = old("SiteStatus", &[("site", Value::String("sin-1".to_owned()))]);
    let reply = old(
        "StatusReply",
        &[
            ("journal", empty("JournalStatus")),
            ("conflicts", empty("ConflictCounts")),
            ("tree", empty("TreeStatus")),
            ("sites", Value::List(vec![Value::Message(site)])),
        ],
    );
    let view = status_from(read(&reply)).unwrap();
    assert_eq!(view.verdict, Verdict::Unknown);
    assert_eq!(view.certificate_expires_us, None);
    assert_eq!(
        (view.journal.budget_bytes, view.tree.last_scan_us),
        (None, None)
    );
    let site = &view.sites[0];
    assert_eq!((site.state, site.lag), (SiteState::Unknown, Lag::Unknown));
    assert_eq!((site.behind_entries, site.behind_bytes), (None, None));
    assert_eq!((site.clock_skew_us, site.round_trip_us), (None, None));
    let lags = old(
        "LagReply",
        &[("sites", Value::List(vec![empty("SiteLag")]))],
    );
    let lags = lags_from(read(&lags));
    let lag = &lags.sites[0];
    assert_eq!((lag.lag, lag.inbound.lag), (Lag::Unknown, Lag::Unknown));
    assert_eq!((lag.behind_entries, lag.catch_up_eta_us), (None, None));
    assert!(lag.stages.is_empty() && lag.shards.is_empty());
}

#[test]
fn a_word_that_this_version_does_not_know_is_unknown() {
    let lag = old(
        "Lag",
        &[("state", Value::EnumNumber(77)), ("us", Value::U64(5))],
    );
    let site = old(
        "SiteStatus",
        &[
            ("state", Value::EnumNumber(77)),
            ("lag", Value::Message(lag)),
        ],
    );
    let view = site_from(read(&site));
    assert_eq!((view.state, view.lag), (SiteState::Unknown, Lag::Unknown));
}

#[test]
fn an_older_program_reads_what_this_version_says() {
    let reply = read_by_old("StatusReply", &status_to(status()));
    let text = |message: &DynamicMessage, name: &str| {
        let value = message.get_field_by_name(name).unwrap();
        value.as_str().unwrap().to_owned()
    };
    assert_eq!(text(&reply, "site"), status().site);
    assert_eq!(text(&reply, "summary"), status().summary);
    let verdict = reply.get_field_by_name("verdict").unwrap();
    assert_eq!(verdict.as_enum_number(), Some(verdict_to(status().verdict)));
    let lags = read_by_old("LagReply", &lags_to(lag()));
    let sites = lags.get_field_by_name("sites").unwrap();
    let first = sites.as_list().unwrap()[0].as_message().unwrap().clone();
    assert_eq!(text(&first, "site"), lag().sites[0].site);
    let shown = read_by_old(
        "ShowConflictReply",
        &detail_to("fra-1".to_owned(), detail()),
    );
    assert_eq!(text(&shown, "why"), detail().why);
    // And what it hands on is still all that was said.
    let same: pb::StatusReply = read(&reply);
    assert_eq!(status_from(same), Ok(status()));
    let one = read_by_old("Conflict", &conflict_to(conflict()));
    assert_eq!(conflict_from(read(&one)), Ok(conflict()));
}

#[test]
fn a_request_of_an_older_program_asks_for_what_it_meant() {
    let request = old(
        "ReadLoserRequest",
        &[("id", Value::String("c-a".to_owned()))],
    );
    assert_eq!(read::<pb::ReadLoserRequest>(&request).id, "c-a");
    let filter = old("ConflictFilter", &[("lossy", Value::Bool(true))]);
    let read = filter_from(read(&filter));
    let expected = ConflictFilter {
        lossy: true,
        ..ConflictFilter::default()
    };
    assert_eq!(read, expected);
    assert_eq!(
        filter.descriptor().full_name(),
        "claudefs.repl.admin.v1.ConflictFilter"
    );
}
