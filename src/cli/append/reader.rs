//! Reads NDJSON into batches.
//!
//! Does: lines of bounded length, NewEvent by the protobuf JSON mapping, a UUIDv7 where the id is empty,
//! batches bounded in events and bytes. Does not: judge an event.
//! Called by: `append::run`. Runs on a plain thread and not on tokio's blocking pool, because the runtime
//! waits for that pool at the end, and a read of standard input may never return.
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    sync::Arc,
};

use prost::Message as _;
use tokio::sync::mpsc;

use crate::{cli::ambient, proto::v1::NewEvent};

/// Longest line. An event is at most 65,536 bytes encoded; JSON may spell a byte with six (`\u0001`),
/// which makes 384 KiB.
const LINE_LIMIT: usize = 512 << 10;
/// Most bytes of events in a call: below the server's 4 MiB with room for the rest of the request.
const BATCH_BYTES: usize = (4 << 20) - (512 << 10);
/// Batches read ahead of the one being sent: memory stays below 4 x 3.5 MiB encoded.
const AHEAD: usize = 2;

/// A file or standard input.
#[derive(Debug)]
pub struct Input {
    name: Arc<str>,
    /// Absent for standard input.
    file: Option<File>,
}

impl Input {
    /// Opens every file first, so that a mistyped name is told before anything is sent.
    pub fn of(files: &[PathBuf]) -> Result<Vec<Self>, String> {
        let stdin = [PathBuf::from("-")];
        let files = if files.is_empty() { &stdin[..] } else { files };
        files
            .iter()
            .map(|path| {
                let name = path.display().to_string();
                if name == "-" {
                    return Ok(Self { name: "(standard input)".into(), file: None });
                }
                let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
                Ok(Self { name: name.into(), file: Some(file) })
            })
            .collect()
    }
}

/// Size of all inputs together; absent unless all are regular files.
pub fn total_bytes(inputs: &[Input]) -> Option<u64> {
    let size = |input: &Input| {
        let metadata = input.file.as_ref()?.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    };
    inputs.iter().map(size).sum()
}

/// Events to be sent in one call, all of one input, and the lines around them that are no events.
#[derive(Debug)]
pub struct Batch {
    /// Name of the input.
    pub source: Arc<str>,
    /// The events, each with an id.
    pub events: Vec<NewEvent>,
    /// Line number of each event, from 1.
    pub lines: Vec<u64>,
    /// Lines that are no NewEvent: number and reason.
    pub unreadable: Vec<(u64, String)>,
    /// Bytes of input that the batch was made of.
    pub bytes: u64,
}

/// Reads the inputs one after the other. The channel ends after the last batch or the first error.
pub fn spawn(inputs: Vec<Input>, size: usize) -> mpsc::Receiver<Result<Batch, String>> {
    let (batches, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for input in inputs {
            let reader: Box<dyn BufRead> = match input.file {
                Some(file) => Box::new(BufReader::with_capacity(256 << 10, file)),
                None => Box::new(io::stdin().lock()),
            };
            let read = Reader::new(input.name.clone(), reader, size).read(&mut |batch| {
                // An error means that the command has ended.
                batches.blocking_send(Ok(batch)).is_ok()
            });
            if let Err(error) = read {
                let _ = batches.blocking_send(Err(format!("{}: {error}", input.name)));
                return;
            }
        }
    });
    receiver
}

struct Reader<R> {
    source: Arc<str>,
    input: R,
    size: usize,
    line: u64,
    /// An event that did not fit its batch any more begins the next one.
    encoded: usize,
    batch: Batch,
}

impl<R: BufRead> Reader<R> {
    fn new(source: Arc<str>, input: R, size: usize) -> Self {
        let batch = empty(&source);
        Self { source, input, size, line: 0, encoded: 0, batch }
    }

    /// Reads to the end, or until `emit` answers false.
    fn read(mut self, emit: &mut dyn FnMut(Batch) -> bool) -> io::Result<()> {
        let mut text = Vec::new();
        while let Some(fits) = self.next_line(&mut text)? {
            self.line += 1;
            let parsed =
                if fits { parse(&text, self.line) } else { Err(format!("longer than {LINE_LIMIT} bytes")) };
            match parsed {
                Ok(None) => {}
                Ok(Some(event)) => {
                    // Tag and length of a repeated field take at most 6 bytes.
                    let bytes = event.encoded_len() + 6;
                    if self.encoded + bytes > BATCH_BYTES && !self.emit(emit) {
                        return Ok(());
                    }
                    self.encoded += bytes;
                    self.batch.events.push(*event);
                    self.batch.lines.push(self.line);
                }
                Err(reason) => self.batch.unreadable.push((self.line, reason)),
            }
            let full = self.batch.events.len() >= self.size || self.batch.unreadable.len() >= self.size;
            if full && !self.emit(emit) {
                return Ok(());
            }
        }
        if !self.batch.events.is_empty() || !self.batch.unreadable.is_empty() {
            self.emit(emit);
        }
        Ok(())
    }

    fn emit(&mut self, emit: &mut dyn FnMut(Batch) -> bool) -> bool {
        self.encoded = 0;
        emit(std::mem::replace(&mut self.batch, empty(&self.source)))
    }

    /// Reads a line into `text`; false when it was too long and is skipped, none at the end.
    fn next_line(&mut self, text: &mut Vec<u8>) -> io::Result<Option<bool>> {
        text.clear();
        let mut taken = 0;
        loop {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let bytes = end.map_or(chunk.len(), |at| at + 1);
            if bytes == 0 {
                return Ok((taken > 0).then_some(taken <= LINE_LIMIT));
            }
            taken += bytes;
            if taken <= LINE_LIMIT {
                text.extend_from_slice(&chunk[..bytes]);
            }
            self.input.consume(bytes);
            self.batch.bytes += bytes as u64;
            if end.is_some() {
                return Ok(Some(taken <= LINE_LIMIT));
            }
        }
    }
}

fn empty(source: &Arc<str>) -> Batch {
    Batch { source: source.clone(), events: Vec::new(), lines: Vec::new(), unreadable: Vec::new(), bytes: 0 }
}

/// An event with an id; none for a blank line.
fn parse(line: &[u8], number: u64) -> Result<Option<Box<NewEvent>>, String> {
    // Exports of Windows tools begin with a byte order mark.
    let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut event: Box<NewEvent> = serde_json::from_slice(line).map_err(|error| {
        // Every line is line 1 to the parser, which would contradict the number in front of it.
        format!("not a NewEvent: {}", error.to_string().replace(" at line 1 column ", " at column "))
    })?;
    if event.event_id.is_empty() {
        // Before the first try: a retry must carry the same id to be recognised.
        event.event_id = ambient::event_id();
    }
    Ok(Some(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(text: &str, size: usize) -> Vec<Batch> {
        let mut all = Vec::new();
        let reader = Reader::new("f".into(), text.as_bytes(), size);
        let read = reader.read(&mut |batch| {
            all.push(batch);
            true
        });
        assert!(read.is_ok());
        all
    }

    #[test]
    fn blank_lines_are_skipped_and_lines_keep_their_numbers() {
        let all = batches("\u{feff}{\"eventId\":\"a\"}\n\n{}\r\n  \n{}", 2);
        assert_eq!(all.iter().map(|it| it.lines.clone()).collect::<Vec<_>>(), [vec![1, 3], vec![5]]);
        assert_eq!(all[0].events[0].event_id, "a");
    }

    #[test]
    fn an_event_without_an_id_gets_one() {
        let all = batches("{}\n{}\n", 10);
        assert_eq!(all[0].events[0].event_id.len(), 36);
        assert_ne!(all[0].events[0].event_id, all[0].events[1].event_id);
    }

    #[test]
    fn lines_that_are_no_event_are_named_and_do_not_end_the_reading() {
        let all = batches("nonsense\n{\"nope\":1}\n{}\n", 10);
        assert_eq!(all[0].unreadable.iter().map(|it| it.0).collect::<Vec<_>>(), [1, 2]);
        assert!(all[0].unreadable[1].1.contains("unknown field `nope`"), "{:?}", all[0].unreadable);
        assert_eq!(all[0].lines, [3]);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let text = format!("{}\n{{}}\n", "x".repeat(LINE_LIMIT + 1));
        let all = batches(&text, 10);
        assert_eq!((all[0].unreadable.len(), all[0].lines.clone()), (1, vec![2]));
    }

    #[test]
    fn a_batch_stays_below_the_size_of_a_message() {
        let line = format!("{{\"correlationId\":\"{}\"}}\n", "x".repeat(300 << 10));
        let all = batches(&line.repeat(30), 1000);
        assert!(all.len() > 2);
        for batch in &all {
            assert!(batch.events.iter().map(|it| it.encoded_len() + 6).sum::<usize>() <= BATCH_BYTES);
        }
    }
}
