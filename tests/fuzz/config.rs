//! The configuration. It is its operator's own, so nothing is said of memory: only that it is answered.

use std::path::Path;

use claudefs_repl::config::Config;
use claudefs_repl::config::units::{
    format_duration, format_size, parse_duration, parse_listen, parse_percent, parse_size,
};

use super::input::Input;

/// A value where the first byte says so, else a file.
pub(super) fn config(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    if input.one_in(8) {
        return value(&String::from_utf8_lossy(input.rest()));
    }
    let text = String::from_utf8_lossy(input.rest());
    let read = Config::parse(&text, Path::new("/etc/cfs-repl/config.toml"));
    if let Err(error) = &read {
        assert!(!error.to_string().is_empty());
    }
    read.is_ok()
}

fn value(text: &str) -> bool {
    let (duration, size) = (parse_duration(text), parse_size(text));
    if let Ok(duration) = duration {
        let shown = format_duration(duration);
        assert_eq!(parse_duration(&shown).ok(), Some(duration), "{shown}");
    }
    if let Ok(size) = size {
        let shown = format_size(size);
        assert_eq!(parse_size(&shown).ok(), Some(size), "{shown}");
    }
    parse_percent(text).is_ok() || parse_listen(text).is_ok() || duration.is_ok() || size.is_ok()
}
