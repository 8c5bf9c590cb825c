//! How a new site comes in: the token that is typed, what it sends, what it gets, and the request that is signed.

use std::sync::OnceLock;

use claudefs_repl::conduit::codec::Codec;
use claudefs_repl::conduit::join::Invitation;
use claudefs_repl::conduit::pki;
use claudefs_repl::proto::join as pb;
use data_encoding::BASE64URL_NOPAD;

use super::input::{Input, stretched};
use super::message::from_stream;
use super::within;

/// Limits of `src/conduit/join.rs`: of a token, and of a message.
const TOKEN_BYTES_MAX: usize = 8 << 10;
const MESSAGE_BYTES_MAX: usize = 256 << 10;
const PREFIX: &str = "cfsjoin1.";
/// 2026-01-01.
const NOW_US: u64 = 1_767_225_600_000_000;

/// The first byte says what the others are.
pub(super) fn join(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    match input.below(5) {
        0 => token(&String::from_utf8_lossy(input.rest())),
        1 => {
            // With the right checksum, else hardly any would get so far.
            let mut bytes = stretched(input.rest(), TOKEN_BYTES_MAX / 2).to_vec();
            bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
            token(&format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)))
        }
        2 => decodes::<pb::JoinRequest>(input.rest()),
        3 => decodes::<pb::JoinReply>(input.rest()),
        _ => request(input.rest()),
    }
}

fn token(text: &str) -> bool {
    let read = within(TOKEN_BYTES_MAX + text.len(), || Invitation::read(text));
    let Ok(invitation) = read else { return false };
    let again = Invitation::read(&invitation.token());
    let fits = invitation.token().len() <= TOKEN_BYTES_MAX;
    assert!(again.as_ref() == Ok(&invitation) || !fits, "{again:?}");
    true
}

/// A message as the service takes it.
fn decodes<M>(bytes: &[u8]) -> bool
where
    M: prost::Message + Default + PartialEq + Send + 'static,
    Codec<M, M>: tonic::codec::Codec<Decode = M>,
{
    let bytes = stretched(bytes, MESSAGE_BYTES_MAX);
    if bytes.len() > MESSAGE_BYTES_MAX {
        return false;
    }
    let taken: Option<M> = within(MESSAGE_BYTES_MAX + bytes.len(), || from_stream(&bytes));
    let Some(message) = taken else { return false };
    let again = M::decode(&message.encode_to_vec()[..]);
    assert!(again.is_ok_and(|again| again == message));
    true
}

/// An authority: certificate and key in PEM.
fn authority() -> &'static (String, String) {
    static AUTHORITY: OnceLock<(String, String)> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let files = pki::init_ca(folder.path(), "lab", NOW_US).expect("an authority");
        let read = |path| std::fs::read_to_string(path).expect("it was written");
        (read(&files.cert), read(&files.key))
    })
}

fn request(bytes: &[u8]) -> bool {
    let (cert, key) = authority();
    let signed = pki::sign((cert, key), bytes, ("new", "lab"), 30, NOW_US);
    signed.is_ok()
}
