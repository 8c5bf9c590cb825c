//! What is sent and kept is understood by the version before, and the other way round: the descriptors of that version
//! lie in `proto/previous/`, and every message, field, enum and method of it is still there with the same number and
//! type. `proto/previous/README.md` says when they are renewed.

use std::path::Path;

use prost_reflect::prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey,
    MessageDescriptor, ServiceDescriptor, Value,
};

/// Set to put the present descriptors in the place of the previous ones.
const RENEW: &str = "CFS_REPL_RENEW_PROTO";
/// Every message and service of this version.
const PRESENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/all.fds"));
/// Deepest nesting of messages in a sample; ours are flatter, unless they hold themselves.
const DEPTH_MAX: usize = 6;
/// A number that no enum has.
const NOVEL: i32 = 9_999;

fn present() -> DescriptorPool {
    DescriptorPool::decode(PRESENT).unwrap()
}

fn previous() -> DescriptorPool {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/previous/cfs-repl.binpb");
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(&file, PRESENT).unwrap();
    }
    DescriptorPool::decode(std::fs::read(file).unwrap().as_slice()).unwrap()
}

/// What `new` lacks of `old`, or has otherwise.
fn breaks(old: &DescriptorPool, new: &DescriptorPool) -> Vec<String> {
    let mut found = Vec::new();
    for message in old.all_messages() {
        match new.get_message_by_name(message.full_name()) {
            Some(now) => found.extend(message_breaks(&message, &now)),
            None => found.push(format!("message {} is gone", message.full_name())),
        }
    }
    for kind in old.all_enums() {
        match new.get_enum_by_name(kind.full_name()) {
            Some(now) => found.extend(enum_breaks(&kind, &now)),
            None => found.push(format!("enum {} is gone", kind.full_name())),
        }
    }
    for service in old.services() {
        match new.get_service_by_name(service.full_name()) {
            Some(now) => found.extend(service_breaks(&service, &now)),
            None => found.push(format!("service {} is gone", service.full_name())),
        }
    }
    found
}

fn message_breaks(old: &MessageDescriptor, new: &MessageDescriptor) -> Vec<String> {
    let shape = |field: &FieldDescriptor| {
        let oneof = field.containing_oneof().map(|one| one.name().to_owned());
        (
            field.name().to_owned(),
            kind_name(&field.kind()),
            field.cardinality() == Cardinality::Repeated,
            field.supports_presence(),
            oneof,
        )
    };
    let mut found = Vec::new();
    for field in old.fields() {
        let was = shape(&field);
        match new.get_field(field.number()).map(|field| shape(&field)) {
            Some(is) if is == was => {}
            Some(is) => found.push(format!("field {}: {was:?}, then {is:?}", field.full_name())),
            None => found.push(format!("field {} is gone", field.full_name())),
        }
    }
    found
}

fn kind_name(kind: &Kind) -> String {
    if let Kind::Message(message) = kind {
        return message.full_name().to_owned();
    }
    if let Kind::Enum(kind) = kind {
        return kind.full_name().to_owned();
    }
    format!("{kind:?}")
}

fn enum_breaks(old: &EnumDescriptor, new: &EnumDescriptor) -> Vec<String> {
    let mut found = Vec::new();
    for value in old.values() {
        let is = new.get_value(value.number());
        if is.is_none_or(|is| is.name() != value.name()) {
            found.push(format!("value {} has another number", value.full_name()));
        }
    }
    found
}

fn service_breaks(old: &ServiceDescriptor, new: &ServiceDescriptor) -> Vec<String> {
    let mut found = Vec::new();
    for method in old.methods() {
        let shape = |method: &prost_reflect::MethodDescriptor| {
            (
                method.input().full_name().to_owned(),
                method.output().full_name().to_owned(),
                (method.is_client_streaming(), method.is_server_streaming()),
            )
        };
        let now = new.methods().find(|now| now.name() == method.name());
        match now.map(|now| shape(&now)) {
            Some(is) if is == shape(&method) => {}
            Some(is) => found.push(format!("method {}: now {is:?}", method.full_name())),
            None => found.push(format!("method {} is gone", method.full_name())),
        }
    }
    found
}

/// A message with everything in it; of alternatives the one with this index.
fn sample(message: &MessageDescriptor, pick: usize, depth: usize) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if let Some(oneof) = field.containing_oneof() {
            let chosen = oneof.fields().nth(pick % oneof.fields().len()).unwrap();
            if chosen.number() != field.number() {
                continue;
            }
        }
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else {
                panic!("a map without entries");
            };
            let value = one(&entry.map_entry_value_field(), pick, depth);
            let key = one(&entry.map_entry_key_field(), pick, depth);
            let key = match (key.as_str(), key.as_u32(), key.as_u64()) {
                (Some(text), ..) => MapKey::String(text.to_owned()),
                (_, Some(number), _) => MapKey::U32(number),
                (_, _, Some(number)) => MapKey::U64(number),
                (None, None, None) => panic!("a key like {key:?}"),
            };
            Value::Map([(key, value)].into_iter().collect())
        } else if field.is_list() {
            Value::List(vec![one(&field, pick, depth)])
        } else {
            one(&field, pick, depth)
        };
        made.set_field(&field, value);
    }
    made
}

/// One value that is not the default one; enums have a number that nobody knows.
fn one(field: &FieldDescriptor, pick: usize, depth: usize) -> Value {
    let number = field.number();
    match field.kind() {
        Kind::Double => Value::F64(1.5),
        Kind::Float => Value::F32(1.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(-7),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(-7),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number + 1_000),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX - u64::from(number)),
        Kind::Bool => Value::Bool(true),
        Kind::String => Value::String(format!("text {number}")),
        Kind::Bytes => Value::Bytes(vec![0xff, 0].into()),
        Kind::Enum(_) => Value::EnumNumber(NOVEL),
        Kind::Message(message) if depth < DEPTH_MAX => {
            Value::Message(sample(&message, pick, depth + 1))
        }
        Kind::Message(message) => Value::Message(DynamicMessage::new(message)),
    }
}

#[test]
fn nothing_of_the_previous_version_is_gone_or_has_another_number_or_type() {
    let found = breaks(&previous(), &present());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_message_of_either_version_is_read_by_the_other_one_with_all_that_both_know() {
    let (old, new) = (previous(), present());
    let mut count = 0;
    for was in old.all_messages().filter(|message| !message.is_map_entry()) {
        let is = new.get_message_by_name(was.full_name()).unwrap();
        let ways = was.oneofs().map(|one| one.fields().len()).max();
        for pick in 0..ways.unwrap_or(1) {
            // From the old one to the new one and back: nothing is lost on the way.
            let sent = sample(&was, pick, 0);
            let bytes = sent.encode_to_vec();
            let read = DynamicMessage::decode(is.clone(), bytes.as_slice()).unwrap();
            assert_eq!(read.unknown_fields().count(), 0, "{}", was.full_name());
            let back = DynamicMessage::decode(was.clone(), read.encode_to_vec().as_slice());
            assert_eq!(back.unwrap(), sent, "{}", was.full_name());
            // What came since is skipped, and everything else is what it was.
            let sent = sample(&is, pick, 0);
            let read = DynamicMessage::decode(was.clone(), sent.encode_to_vec().as_slice());
            let read = read.unwrap();
            for field in was
                .fields()
                .filter(|field| !matches!(field.kind(), Kind::Message(_)))
            {
                let now = is.get_field(field.number()).unwrap();
                assert_eq!(
                    read.get_field(&field),
                    sent.get_field(&now),
                    "{}",
                    field.full_name()
                );
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count} messages");
}

#[test]
fn a_version_that_takes_something_away_or_turns_it_into_something_else_is_noticed() {
    let same = breaks(&present(), &present());
    assert!(same.is_empty(), "{same:?}");
    // The bytes of the descriptors themselves are edited: a field gets another name, an enum's value another number.
    let edit = |from: &[u8], to: &[u8]| {
        let at = PRESENT.windows(from.len()).position(|part| part == from);
        let mut bytes = PRESENT.to_vec();
        bytes[at.unwrap()..][..to.len()].copy_from_slice(to);
        breaks(
            &present(),
            &DescriptorPool::decode(bytes.as_slice()).unwrap(),
        )
    };
    let renamed = edit(b"behind_entries", b"behind_entriez");
    assert!(renamed[0].contains("behind_entries"), "{renamed:?}");
    let gone = edit(b"VERDICT_DOWN", b"VERDICT_DAWN");
    assert!(gone[0].contains("VERDICT_DOWN"), "{gone:?}");
    let method = edit(b"ReconnectSite\x12", b"ReconnectSide");
    assert!(method[0].contains("ReconnectSite is gone"), "{method:?}");
}
