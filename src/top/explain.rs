//! Pure: an event for people: what its name means, what happened, and the fields for programs.

use crate::admin::view::{EVENT_NAMES, EventView};
use crate::clock::rfc3339;
use crate::text::printable;

/// What the name of an event means; none: a name that this build does not know.
#[must_use]
pub fn meaning(name: &str) -> Option<&'static str> {
    EVENT_NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, meaning)| *meaning)
}

/// All of an event, line by line.
#[must_use]
pub fn lines(event: &EventView) -> Vec<String> {
    let mut lines = vec![
        format!("when     {}", rfc3339(event.at_us).unwrap_or_default()),
        format!("level    {}", event.level),
        format!("site     {}", event.site.as_deref().unwrap_or("this one")),
        format!("what     {}", event.text),
    ];
    if let Some(meaning) = meaning(&event.name) {
        lines.push(format!("meaning  {meaning}"));
    }
    for (nth, (key, value)) in event.fields.iter().enumerate() {
        let head = if nth == 0 { "fields" } else { "" };
        lines.push(format!("{head:<8} {key} = {value}"));
    }
    lines.iter().map(|line| printable(line)).collect()
}
