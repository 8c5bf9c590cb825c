//! A wire between two sites: a small TCP proxy that a test cuts, slows, narrows, stalls, resets and truncates while
//! both daemons go on.
//!
//! What [`Condition`] says holds in both directions until the next one is set. Bytes keep their order whatever changes,
//! and a stalled wire accepts connections, of which nothing comes: as half-open ones behave.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use claudefs_repl::clock::{Clock, SystemClock};

/// How often a pump looks whether its connection was ended or the condition changed.
const LOOK: Duration = Duration::from_millis(10);
/// Bytes that are forwarded at once.
const PIECE: usize = 16 * 1024;
/// Pieces on the way; more wait in the sockets, so that a slow wire pushes back as a slow network does.
const PIECES_MAX: usize = 8;
/// Buffers of the wire's own sockets, so that not all waits in them.
const BUFFER: usize = 64 * 1024;

/// What becomes of bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Condition {
    /// All goes through at once.
    #[default]
    Clear,
    /// Every byte takes this long.
    Slow(Duration),
    /// At most so many bytes in a second, in each direction.
    Narrow(u32),
    /// Connections stand and are accepted, and nothing goes through.
    Stalled,
    /// No connection stands, none comes to stand.
    Cut,
}

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides hear of it at once, by a reset.
    Reset,
    /// The next bytes of each direction arrive by half, then it is closed: in the middle of a frame.
    Truncated,
}

/// Forwards connections from its own port to another one of this machine.
#[derive(Debug)]
pub(crate) struct Wire {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    condition: Condition,
    is_over: bool,
    truncated: u64,
    open: Vec<Connection>,
}

/// The two sockets of a connection.
#[derive(Debug)]
struct Connection {
    near: TcpStream,
    far: TcpStream,
    flags: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    /// Nothing more is forwarded, not even an end.
    is_dead: AtomicBool,
    truncates: AtomicBool,
}

impl Connection {
    fn is_dead(&self) -> bool {
        self.flags.is_dead.load(Ordering::SeqCst)
    }

    fn close(&self) {
        self.flags.is_dead.store(true, Ordering::SeqCst);
        self.near.shutdown(Shutdown::Both).ok();
        self.far.shutdown(Shutdown::Both).ok();
    }

    /// The kernel sends a reset when the last handle goes, and no end before it.
    fn reset(&self) {
        self.flags.is_dead.store(true, Ordering::SeqCst);
        for socket in [&self.near, &self.far] {
            rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO)).ok();
            // Wakes the pump that reads.
            socket.shutdown(Shutdown::Read).ok();
        }
    }
}

impl Wire {
    /// A clear wire to `target`.
    pub(super) fn new(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for incoming in listener.incoming() {
                if shared.lock().unwrap().is_over {
                    return;
                }
                if let Ok(near) = incoming {
                    forward(near, target, &shared);
                }
            }
        });
        Self { port, state }
    }

    /// Where to dial.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// What becomes of bytes from here on.
    pub(crate) fn set(&self, condition: Condition) {
        let mut state = self.state.lock().unwrap();
        state.condition = condition;
        if condition == Condition::Cut {
            for connection in state.open.drain(..) {
                connection.close();
            }
        }
    }

    /// Ends all connections in this manner; others may come.
    pub(crate) fn end(&self, how: End) {
        let mut state = self.state.lock().unwrap();
        match how {
            End::Reset => {
                for connection in state.open.drain(..) {
                    connection.reset();
                }
            }
            End::Truncated => {
                for connection in &state.open {
                    connection.flags.truncates.store(true, Ordering::SeqCst);
                }
            }
        }
    }

    /// How many connections were truncated.
    pub(crate) fn truncated(&self) -> u64 {
        self.state.lock().unwrap().truncated
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.set(Condition::Cut);
        self.state.lock().unwrap().is_over = true;
        // Wakes the thread that accepts.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
    }
}

fn forward(near: TcpStream, target: u16, shared: &Arc<Mutex<State>>) {
    if shared.lock().unwrap().condition == Condition::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else {
        return;
    };
    for socket in [&near, &far] {
        rustix::net::sockopt::set_socket_recv_buffer_size(socket, BUFFER).unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(socket, BUFFER).unwrap();
        socket.set_nodelay(true).unwrap();
        // Of a peer that takes nothing the end would not be noticed.
        socket.set_write_timeout(Some(LOOK)).unwrap();
    }
    let flags = Arc::new(Flags::default());
    let ways = [(&near, &far), (&far, &near)];
    for (from, to) in ways.map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap())) {
        let (pieces, taken) = sync_channel(PIECES_MAX);
        let (shared, flags) = (Arc::clone(shared), Arc::clone(&flags));
        thread::spawn({
            let (shared, flags) = (Arc::clone(&shared), Arc::clone(&flags));
            move || read(from, &pieces, &shared, &flags)
        });
        thread::spawn(move || write(to, &taken, &shared, &flags));
    }
    let connection = Connection { near, far, flags };
    let mut state = shared.lock().unwrap();
    // It may have been cut meanwhile.
    if state.condition == Condition::Cut {
        connection.close();
        return;
    }
    state.open.retain(|one| !one.is_dead());
    state.open.push(connection);
}

/// Some bytes, and when they are due on the other side.
type Piece = (Duration, Vec<u8>);

fn read(mut from: TcpStream, pieces: &SyncSender<Piece>, shared: &Mutex<State>, flags: &Flags) {
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let takes = match shared.lock().unwrap().condition {
            Condition::Slow(takes) => takes,
            Condition::Clear | Condition::Narrow(_) | Condition::Stalled | Condition::Cut => {
                Duration::ZERO
            }
        };
        let due = SystemClock.monotonic() + takes;
        let is_dead = flags.is_dead.load(Ordering::SeqCst);
        if is_dead || pieces.send((due, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}

fn write(mut to: TcpStream, pieces: &Receiver<Piece>, shared: &Mutex<State>, flags: &Flags) {
    let is_dead = || flags.is_dead.load(Ordering::SeqCst);
    loop {
        let (due, bytes) = match pieces.recv_timeout(LOOK) {
            Ok(piece) => piece,
            Err(RecvTimeoutError::Timeout) if is_dead() => return,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if !waited(due, bytes.len(), shared, &is_dead) {
            return;
        }
        let cuts = bytes.len() > 1 && flags.truncates.swap(false, Ordering::SeqCst);
        let length = if cuts { bytes.len() / 2 } else { bytes.len() };
        if written(&mut to, &bytes[..length], &is_dead).is_err() {
            break;
        }
        if cuts {
            shared.lock().unwrap().truncated += 1;
            flags.is_dead.store(true, Ordering::SeqCst);
            break;
        }
    }
    // The other half of this connection learns of its end: when anything goes through, and unless by a reset.
    waited(Duration::ZERO, 0, shared, &is_dead);
    if !is_reset(&to) {
        to.shutdown(Shutdown::Both).ok();
    }
}

fn is_reset(socket: &TcpStream) -> bool {
    rustix::net::sockopt::socket_linger(socket).is_ok_and(|linger| linger.is_some())
}

/// Waits as the condition asks for; false when the connection is over meanwhile.
fn waited(due: Duration, bytes: usize, shared: &Mutex<State>, is_dead: &impl Fn() -> bool) -> bool {
    let mut due = due;
    let mut is_charged = false;
    loop {
        if is_dead() {
            return false;
        }
        let condition = shared.lock().unwrap().condition;
        let now = SystemClock.monotonic();
        if let Condition::Narrow(per_second) = condition
            && !is_charged
        {
            let bytes = u32::try_from(bytes).unwrap();
            due = due.max(now) + Duration::from_secs(1) * bytes / per_second;
            is_charged = true;
        }
        if condition != Condition::Stalled && now >= due {
            return true;
        }
        // The pace of the wire; nothing is waited for.
        thread::sleep(
            LOOK.min(due.saturating_sub(now))
                .max(Duration::from_millis(1)),
        );
    }
}

fn written(to: &mut TcpStream, bytes: &[u8], is_dead: &impl Fn() -> bool) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) => {
                let waits = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
                if !waits.contains(&error.kind()) || is_dead() {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}
