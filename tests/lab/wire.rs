//! A wire between two sites that a test cuts and joins: both daemons go on, and only the connection is gone.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Forwards connections from its own port to another one of this machine.
#[derive(Debug)]
pub(crate) struct Wire {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    is_over: bool,
    open: Vec<TcpStream>,
}

impl Wire {
    /// A joined wire to `target`.
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

    /// Ends all connections and accepts no other that goes through.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for stream in state.open.drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Lets connections through again.
    pub(crate) fn join(&self) {
        self.state.lock().unwrap().is_cut = false;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.state.lock().unwrap().is_over = true;
        // Wakes the thread that accepts.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
    }
}

fn forward(near: TcpStream, target: u16, shared: &Mutex<State>) {
    let mut state = shared.lock().unwrap();
    if state.is_cut {
        return;
    }
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else {
        return;
    };
    for (from, to) in [(&near, &far), (&far, &near)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        state.open.push(from.try_clone().unwrap());
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            // The other half of this connection learns of its end.
            to.shutdown(Shutdown::Both).ok();
        });
    }
}
