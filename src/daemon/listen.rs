//! Takes the address that peers dial.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::error::{ReplError, Result};

/// How long an address that is taken is asked for. Ports from 32 768 on are also given to connections that leave the
/// machine, so whoever dials a site that is down, or anything else, may hold its port for a moment. A process that was
/// killed lets go of its own when the kernel has ended all its threads.
const PATIENCE: Duration = Duration::from_secs(3);
/// From one attempt to the next.
const PAUSE: Duration = Duration::from_millis(50);

/// Listens at `address`, as soon as nobody else does.
///
/// # Errors
/// When the address cannot be had, or is still taken after three seconds.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener> {
    let until = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, "listening");
                return Ok(listener);
            }
            Err(e) if e.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                if !told {
                    tracing::info!(%address, "taken by another process or connection, waiting for it");
                }
                told = true;
                sleep(PAUSE).await;
            }
            Err(e) => return Err(ReplError::io("listen on", address.to_string(), e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_somebody_holds_for_a_moment_is_waited_for() {
        let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = holder.local_addr().unwrap();
        let began = Instant::now();
        let lets_go = async {
            sleep(PATIENCE / 2).await;
            drop(holder);
        };
        let (listener, ()) = tokio::join!(listen(address), lets_go);
        assert_eq!(listener.unwrap().local_addr().unwrap(), address);
        assert!(began.elapsed() >= PATIENCE / 2, "it had to wait");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_stays_taken_is_an_error_in_the_end() {
        let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let began = Instant::now();
        let error = listen(holder.local_addr().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("listen on"), "{error}");
        let took = began.elapsed();
        assert!((PATIENCE..PATIENCE + PAUSE * 2).contains(&took), "{took:?}");
    }
}
