//! A record as it is read from its file: line by line as it is played, and back to a place that is known.
//!
//! Nothing of the file is held but the line that comes next and its index: a record of an hour is opened at once, and
//! takes no more memory than one of a minute.

use std::io::{BufRead, Seek, SeekFrom};

use super::message::Told;
use super::model::EVENTS_MAX;
use super::model::kept::Kept;
use super::record::{self, Head, Line, RecordError};
use super::replay::marks::Marks;

/// Bytes at the end of the file in which its last line is looked for first.
const END: u64 = 64 << 10;
const PREVIEW: &str = "preview";
const EVENT: &str = "event";

/// A line that was read, and not told yet.
#[derive(Debug)]
struct Pending {
    line: Line,
    from: u64,
}

/// What was read of a file.
#[derive(Debug)]
pub struct Reel<R> {
    source: R,
    head: Head,
    /// Where the lines begin behind the first one.
    begin: u64,
    /// Where the last whole line ended when the file was opened.
    end: u64,
    /// Time of the last line.
    last_us: u64,
    /// What follows it is half of a line.
    is_cut: bool,
    /// Where the line begins that is read next.
    offset: u64,
    lines: u64,
    /// Time of the line that was told last.
    at_us: u64,
    pending: Option<Pending>,
    buffer: Vec<u8>,
    marks: Marks,
}

/// What a step back needs: what was told before as a whole, each at its time, and what is known at that place.
pub type Recalled = (Vec<(u64, Told)>, Option<Kept>);

impl<R: BufRead + Seek> Reel<R> {
    /// Opens a record. A last line that is not whole is left out: whoever recorded was ended.
    ///
    /// # Errors
    /// [`RecordError`] when it is none.
    pub fn open(source: R) -> Result<Self, RecordError> {
        Self::with(source, Marks::default())
    }

    /// The same with an index that is empty.
    ///
    /// # Errors
    /// [`RecordError`] when it is none.
    pub fn with(mut source: R, marks: Marks) -> Result<Self, RecordError> {
        let mut buffer = Vec::new();
        source.read_until(b'\n', &mut buffer)?;
        let head = record::read_head(&buffer)?;
        let begin = buffer.len() as u64;
        let (end, last_us) = last(&mut source, begin, &mut buffer)?;
        let is_cut = end < source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(begin))?;
        Ok(Self {
            source,
            head,
            begin,
            end,
            last_us,
            is_cut,
            offset: begin,
            lines: 1,
            at_us: 0,
            pending: None,
            buffer,
            marks,
        })
    }

    /// The first line.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Time of the last line, in microseconds since the beginning.
    #[must_use]
    pub const fn last_us(&self) -> u64 {
        self.last_us
    }

    /// Its last line is not whole: whoever recorded was ended while it was written, or the file was cut.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Time of the line that was told last.
    #[must_use]
    pub const fn at_us(&self) -> u64 {
        self.at_us
    }

    /// Bytes of the file that were read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// What comes next, if it comes until a time, and when. None: nothing until then.
    ///
    /// # Errors
    /// [`RecordError::Line`]: this line is left out, and the next call goes on behind it.
    /// [`RecordError::Read`]: nothing follows.
    pub fn due(&mut self, until_us: u64) -> Result<Option<(u64, Told)>, RecordError> {
        loop {
            self.fill()?;
            let is_due = |pending: &mut Pending| pending.line.t_us <= until_us;
            let Some(Pending { line, from }) = self.pending.take_if(is_due) else {
                return Ok(None);
            };
            // The clock of whoever records never goes back; that of whoever wrote the file by hand may.
            self.at_us = self.at_us.max(line.t_us);
            self.marks.line(&line.kind, from, self.offset);
            if let Some(told) = self.message(line)? {
                return Ok(Some((self.at_us, told)));
            }
        }
    }

    /// The message of a line; the peers of one preview stand on lines of their own, at one time.
    fn message(&mut self, line: Line) -> Result<Option<Told>, RecordError> {
        let (t_us, number) = (line.t_us, self.lines);
        let failed = |why| RecordError::Line { number, why };
        let told = line.told().map_err(failed)?;
        let Some(Told::Preview(mut sites)) = told else {
            return Ok(told);
        };
        loop {
            self.fill()?;
            let belongs = |next: &mut Pending| next.line.t_us == t_us && next.line.kind == PREVIEW;
            let Some(next) = self.pending.take_if(belongs) else {
                break;
            };
            let number = self.lines;
            let failed = |why| RecordError::Line { number, why };
            if let Some(Told::Preview(more)) = next.line.told().map_err(failed)? {
                sites.extend(more);
            }
        }
        Ok(Some(Told::Preview(sites)))
    }

    /// Reads the next line, if there is one and none waits.
    fn fill(&mut self) -> Result<(), RecordError> {
        while self.pending.is_none() && self.offset < self.end {
            let from = self.offset;
            self.buffer.clear();
            let read = self.source.read_until(b'\n', &mut self.buffer);
            let length = match read {
                Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                other => other,
            };
            let length = length.inspect_err(|_| self.offset = self.end)?;
            self.offset += length as u64;
            self.lines += 1;
            if self.buffer.trim_ascii().is_empty() {
                continue;
            }
            let failed = |why| RecordError::Line {
                number: self.lines,
                why,
            };
            let line = Line::read(&self.buffer).map_err(failed)?;
            if line.t_us > self.last_us {
                return Err(failed("it is later than the last line".to_owned()));
            }
            self.pending = Some(Pending { line, from });
        }
        Ok(())
    }

    /// Whether it should be kept here what is known, so that it can be taken up again here.
    #[must_use]
    pub fn wants_mark(&self) -> bool {
        self.marks.wants(self.place())
    }

    /// Keeps it.
    pub fn mark(&mut self, kept: Kept) {
        let (place, lines) = (self.place(), self.lines);
        let lines = lines - u64::from(self.pending.is_some());
        self.marks.keep(place, lines, self.at_us, kept);
    }

    /// Where the line begins that is told next.
    fn place(&self) -> u64 {
        self.pending.as_ref().map_or(self.offset, |next| next.from)
    }

    /// Goes back to the last mark that is not later than a time, or to the beginning, and returns what was known there.
    ///
    /// # Errors
    /// [`RecordError`] when what is needed cannot be read.
    pub fn back_to(&mut self, t_us: u64) -> Result<Recalled, RecordError> {
        self.pending = None;
        let Some(mark) = self.marks.back_to(t_us) else {
            self.turn(self.begin, 1, 0)?;
            return Ok((Vec::new(), None));
        };
        let (offset, lines, at_us) = (mark.offset, mark.lines, mark.t_us);
        let (places, kept) = (mark.latest.places(), mark.kept.clone());
        let mut told = Vec::new();
        for place in places {
            self.turn(place, 0, 0)?;
            told.extend(self.again(|_| true)?);
        }
        for part in self.marks.parts_before(offset, EVENTS_MAX as u64) {
            self.turn(part.from, 0, 0)?;
            while self.offset < part.to {
                told.extend(self.again(|line| line.kind == EVENT)?);
            }
        }
        self.turn(offset, lines, at_us)?;
        Ok((told, Some(kept)))
    }

    /// Reads one line again. What cannot be read was told of when it was reached first.
    fn again(&mut self, wants: fn(&Line) -> bool) -> Result<Option<(u64, Told)>, RecordError> {
        let read = self.fill().and_then(|()| match self.pending.take() {
            Some(next) if wants(&next.line) => {
                let t_us = next.line.t_us;
                Ok(self.message(next.line)?.map(|told| (t_us, told)))
            }
            Some(_) | None => Ok(None),
        });
        match read {
            Err(RecordError::Line { .. }) => Ok(None),
            other => other,
        }
    }

    fn turn(&mut self, offset: u64, lines: u64, at_us: u64) -> Result<(), RecordError> {
        self.source.seek(SeekFrom::Start(offset))?;
        (self.offset, self.lines, self.at_us) = (offset, lines, at_us);
        self.pending = None;
        Ok(())
    }
}

/// Where the last whole line ends, and its time.
fn last<R: BufRead + Seek>(
    source: &mut R,
    begin: u64,
    buffer: &mut Vec<u8>,
) -> Result<(u64, u64), RecordError> {
    let length = source.seek(SeekFrom::End(0))?;
    let mut room = END;
    loop {
        let from = length.saturating_sub(room).max(begin);
        source.seek(SeekFrom::Start(from))?;
        buffer.clear();
        source.read_to_end(buffer)?;
        let whole = buffer.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at + 1);
        let (lines, rest) = buffer.split_at_checked(whole).unwrap_or_default();
        // Whoever wrote it by hand may have left out the last end of a line.
        let is_line = Line::read(rest).is_ok();
        let lines = if is_line { buffer.as_slice() } else { lines };
        let end = from + lines.len() as u64;
        let lines = lines.trim_ascii_end();
        // A line that cannot be read is told when it is reached.
        let time = |line: &[u8]| record::read_time(line);
        let found = lines.rsplit(|byte| *byte == b'\n').find_map(time);
        match found {
            Some(last_us) => return Ok((end, last_us)),
            None if from == begin => return Ok((end, 0)),
            None => room = room.saturating_mul(8),
        }
    }
}
