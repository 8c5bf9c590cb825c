//! How many connections there may be at once, in all and of one origin: nobody takes the descriptors of the others.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// Places for connections, counted by origin. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Slots<K> {
    most: usize,
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

impl<K: Ord + Clone> Slots<K> {
    /// At most `most` at once.
    pub(crate) fn new(most: usize) -> Self {
        let taken = Arc::default();
        Self { most, taken }
    }

    /// A place for one more of `origin`, which may have `most_of_one`. None: there is none.
    pub(crate) fn take(&self, origin: K, most_of_one: usize) -> Option<Slot<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.most {
            return None;
        }
        let of_one = taken.entry(origin.clone()).or_default();
        if *of_one >= most_of_one {
            return None;
        }
        *of_one += 1;
        drop(taken);
        let taken = Arc::clone(&self.taken);
        Some(Slot { origin, taken })
    }
}

/// A place; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Slot<K: Ord> {
    origin: K,
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

impl<K: Ord> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_one) = taken.get_mut(&self.origin) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.remove(&self.origin);
            }
        }
    }
}

/// A connection that has its place as long as it stands.
#[derive(Debug)]
pub(crate) struct Held<I, K: Ord> {
    stream: I,
    _slot: Option<Slot<K>>,
}

impl<I, K: Ord> Held<I, K> {
    /// `stream` in this place. None: it needs none.
    pub(crate) const fn new(stream: I, slot: Option<Slot<K>>) -> Self {
        let _slot = slot;
        Self { stream, _slot }
    }
}

impl<I: Connected, K: Ord> Connected for Held<I, K> {
    type ConnectInfo = I::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<I: AsyncRead + Unpin, K: Ord + Unpin> AsyncRead for Held<I, K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin, K: Ord + Unpin> AsyncWrite for Held<I, K> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_origin_leaves_places_for_others_and_what_ends_makes_room() {
        let slots = Slots::new(5);
        let mut first: Vec<_> = (0..4).filter_map(|_| slots.take("a", 3)).collect();
        assert_eq!(first.len(), 3, "no more of one origin");
        let second = slots.take("b", 3).expect("others have theirs");
        let third = slots.take("c", 3).expect("as long as there are any");
        assert!(slots.take("d", 3).is_none(), "no more in all");
        first.pop();
        assert!(slots.take("d", 3).is_some(), "one ended");
        drop((second, third, first));
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}
