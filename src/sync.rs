//! The merge of what several sites did: deterministic, without clock, file or socket.

pub mod port;
