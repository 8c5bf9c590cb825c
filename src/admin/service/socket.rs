//! The socket of the daemon: a file that a dead daemon left is replaced; a living one is never pushed aside.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::{CONNECTIONS_MAX, OF_ONE_MAX};
use crate::conduit::slots::{Held, Slots};
use crate::config::SOCKET_BYTES_MAX;
use crate::error::{ReplError, Result};

/// Pause after a failing accept: out of file descriptors is the usual reason, and takes time to mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens at `socket`, which gets this mode.
pub(super) fn bind(socket: &Path, mode: u32) -> Result<UnixListener> {
    let length = socket.as_os_str().as_bytes().len();
    if length > SOCKET_BYTES_MAX {
        let reason = format!(
            "the path has {length} bytes, a socket's has at most {SOCKET_BYTES_MAX}: choose a shorter state folder"
        );
        let refused = io::Error::new(io::ErrorKind::InvalidInput, reason);
        return Err(ReplError::io("bind admin socket", socket, refused));
    }
    clear(socket)?;
    let refused = |error| ReplError::io("bind admin socket", socket, error);
    let listener = UnixListener::bind(socket).map_err(refused)?;
    // Who connects before the mode is set is refused by its uid.
    fs::set_permissions(socket, fs::Permissions::from_mode(mode)).map_err(refused)?;
    Ok(listener)
}

/// Removes the socket of a daemon that is gone; anything else that stands there is an error.
fn clear(socket: &Path) -> Result<()> {
    let refused = |kind, reason: &str| {
        let error = io::Error::new(kind, reason.to_owned());
        Err(ReplError::io("bind admin socket", socket, error))
    };
    let metadata = match fs::symlink_metadata(socket) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ReplError::io("look at admin socket", socket, error)),
    };
    if !metadata.file_type().is_socket() {
        let reason = "something stands there that is no socket; it is left as it is";
        return refused(io::ErrorKind::AlreadyExists, reason);
    }
    match StdStream::connect(socket) {
        Ok(_) => refused(io::ErrorKind::AddrInUse, "another daemon answers on it"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!("admin socket of a daemon that is gone is replaced");
            fs::remove_file(socket)
                .map_err(|error| ReplError::io("remove dead admin socket", socket, error))
        }
        Err(error) => Err(ReplError::io("look at admin socket", socket, error)),
    }
}

/// Tells the socket file from another one of the same name.
pub(super) fn mark(socket: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(socket).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Removes the socket, unless another one took its place.
pub(super) fn remove(socket: &Path, bound: Option<(u64, u64)>) {
    if bound.is_none() || mark(socket) != bound {
        return;
    }
    if let Err(error) = fs::remove_file(socket) {
        tracing::warn!(%error, "admin socket was not removed");
    }
}

/// Hands on who connects. Others than `own_uid` and root have a number of connections, so that they cannot take the
/// descriptors that the daemon needs.
pub(super) async fn accept(
    listener: UnixListener,
    ready: mpsc::Sender<io::Result<Held<UnixStream, u32>>>,
    own_uid: u32,
) {
    let slots = Slots::new(CONNECTIONS_MAX);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let uid = match stream.peer_cred() {
            Ok(cred) => cred.uid(),
            Err(error) => {
                tracing::debug!(%error, "who connected is gone");
                continue;
            }
        };
        let slot = if uid == own_uid || uid == 0 {
            None
        } else {
            let slot = slots.take(uid, OF_ONE_MAX);
            if slot.is_none() {
                tracing::warn!(
                    uid,
                    "too many connections to the admin socket, this one is dropped"
                );
                continue;
            }
            slot
        };
        if ready.send(Ok(Held::new(stream, slot))).await.is_err() {
            return;
        }
    }
}
