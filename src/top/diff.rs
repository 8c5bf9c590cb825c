//! Pure: what is different between two texts, line by line.

use unicode_width::UnicodeWidthStr as _;

use crate::text::printable;

/// Longest part, in lines, that is compared line by line; a longer one is told as replaced as a whole.
const COMPARED_MAX: usize = 1_000;
/// Equal lines that are shown around a difference.
const AROUND: usize = 3;

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Both have it.
    Same(String),
    /// Only the first one has it.
    Old(String),
    /// Only the second one has it.
    New(String),
    /// So many equal lines are left out.
    Gap(usize),
}

impl Line {
    /// Columns of its text.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Same(text) | Self::Old(text) | Self::New(text) => printable(text).width(),
            Self::Gap(_) => 0,
        }
    }
}

/// The difference from `old` to `new`, with a few equal lines around.
#[must_use]
pub fn lines(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (
        old.get(head..).unwrap_or(&[]),
        new.get(head..).unwrap_or(&[]),
    );
    let tail = (old_rest.iter().rev())
        .zip(new_rest.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let middle = |of: &[&'_ str]| of.len() - tail;
    let (old_len, new_len) = (middle(old_rest), middle(new_rest));
    let same = |text: &&str| Line::Same((*text).to_owned());
    let mut all: Vec<Line> = old.iter().take(head).map(same).collect();
    all.extend(between(
        old_rest.get(..old_len).unwrap_or(&[]),
        new_rest.get(..new_len).unwrap_or(&[]),
    ));
    all.extend(old_rest.iter().skip(old_len).map(same));
    folded(all)
}

fn between(old: &[&str], new: &[&str]) -> Vec<Line> {
    let gone = |text: &&str| Line::Old((*text).to_owned());
    let come = |text: &&str| Line::New((*text).to_owned());
    if old.len().max(new.len()) > COMPARED_MAX {
        return old.iter().map(gone).chain(new.iter().map(come)).collect();
    }
    // Longest common part of what is left from each pair of places on.
    let width = new.len() + 1;
    let mut common = vec![0_u16; (old.len() + 1) * width];
    let at = |common: &[u16], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let value = if old.get(i) == new.get(j) {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = value;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                lines.push(Line::Same((*a).to_owned()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                lines.push(gone(a));
                i += 1;
            }
            (_, Some(b)) => {
                lines.push(come(b));
                j += 1;
            }
            (Some(_) | None, None) => return lines,
        }
    }
}

/// Leaves out what is far from every difference.
fn folded(all: Vec<Line>) -> Vec<Line> {
    let is_same = |line: &Line| matches!(line, Line::Same(_));
    let differs: Vec<bool> = all.iter().map(|line| !is_same(line)).collect();
    let near = |at: usize| {
        let from = at.saturating_sub(AROUND);
        differs
            .iter()
            .skip(from)
            .take(at - from + AROUND + 1)
            .any(|differs| *differs)
    };
    let kept: Vec<bool> = (0..all.len()).map(near).collect();
    let mut lines = Vec::new();
    let mut left_out = 0;
    for (line, kept) in all.into_iter().zip(kept) {
        if !kept {
            left_out += 1;
            continue;
        }
        if left_out > 0 {
            lines.push(Line::Gap(std::mem::take(&mut left_out)));
        }
        lines.push(line);
    }
    if left_out > 0 {
        lines.push(Line::Gap(left_out));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_differs_is_told_with_what_stands_around() {
        let same = |text: &str| Line::Same(text.to_owned());
        assert_eq!(
            lines(
                "1\n2\n3\n4\n5\na\n6\n7\n8\n9",
                "1\n2\n3\n4\n5\nb\nc\n6\n7\n8\n9"
            ),
            [
                Line::Gap(2),
                same("3"),
                same("4"),
                same("5"),
                Line::Old("a".to_owned()),
                Line::New("b".to_owned()),
                Line::New("c".to_owned()),
                same("6"),
                same("7"),
                same("8"),
                Line::Gap(1),
            ]
        );
        assert_eq!(lines("a\nb", "a\nb"), [Line::Gap(2)]);
        assert_eq!(lines("", ""), []);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_from_the_difference(
            old in proptest::collection::vec("[ab]", 0..12),
            new in proptest::collection::vec("[ab]", 0..12),
        ) {
            let told = between(
                &old.iter().map(String::as_str).collect::<Vec<_>>(),
                &new.iter().map(String::as_str).collect::<Vec<_>>(),
            );
            let mut read = (Vec::new(), Vec::new());
            for line in told {
                match line {
                    Line::Same(text) => { read.0.push(text.clone()); read.1.push(text); }
                    Line::Old(text) => read.0.push(text),
                    Line::New(text) => read.1.push(text),
                    Line::Gap(_) => {}
                }
            }
            prop_assert_eq!(read, (old, new));
        }
    }
}
