//! Bad input from every side, met by the real daemon: it says what is wrong, goes on or ends as it should, and loses
//! nothing. What a part of it can prove alone is proven beside that part; docs/testing.md lists both.

mod certificates;
mod clock;
mod disk;
mod hostile;
mod log;
mod peer;
mod reload;
mod site;
mod start;
mod tree;
