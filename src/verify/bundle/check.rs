//! Reads a bundle and checks everything in it, event by event.
use std::{
    io::{self, BufRead},
    ops::Range,
};

use super::{END, Header, MOST_EVENTS, PERSONAL, PROOF, VERSION, lines::Lines};
use crate::verify::{
    Believed, Finding, Findings, Hash, Policy, Told, TreeHead, Trust, Values, Verdict, base64,
    check_extension, from_base64, from_decimal, included,
};

/// What a bundle showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    pub checkpoint: Believed,
    /// Its positions, by its header.
    pub positions: Range<u64>,
    /// Events whose inclusion was shown.
    pub events: u64,
    /// What became of their personal values.
    pub values: Values,
    /// What the log tells of those that are not there.
    pub told: Told,
    /// What is wrong. Nothing: the bundle is valid.
    pub findings: Vec<Finding>,
}

/// An event of a bundle whose inclusion was shown.
#[derive(Debug)]
pub struct Entry<'a> {
    pub position: u64,
    pub record: &'a [u8],
    /// What lies beside the record, when it is what the record commits to.
    pub beside: &'a [u8],
    pub path: &'a [Hash],
    /// The checkpoint, a signed note.
    pub checkpoint: &'a str,
}

/// Why a bundle could not be checked to its end.
#[derive(Debug)]
pub enum Stop {
    /// It could not be read.
    Io(io::Error),
    /// What is wrong with it, and its checkpoint when that was believed.
    Found(Finding, Option<Box<Believed>>),
    /// The auditor's last checkpoint is of this size, and the bundle has no proof from there.
    Unjoined(u64),
    /// The file ends where this line should be.
    End(u64),
}

impl Stop {
    fn found(finding: Finding) -> Self {
        Self::Found(finding, None)
    }

    fn with(self, checkpoint: &Believed) -> Self {
        match self {
            Self::Found(finding, None) => Self::Found(finding, Some(Box::new(checkpoint.clone()))),
            stop => stop,
        }
    }
}

/// Checks a bundle by the auditor's own keys and, where there is one, the auditor's last checkpoint. `each` is
/// shown every event that is in the tree.
///
/// # Errors
/// Why it was not checked to its end.
pub fn check(
    input: impl BufRead,
    trust: &Trust,
    last: Option<&Believed>,
    each: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
) -> Result<Checked, Stop> {
    let mut lines = Lines::new(input);
    let header = header(&mut lines).map_err(|stop| match stop {
        Stop::End(line) => {
            let evidence = "the file ends before its first event";
            Stop::found(Finding::new(Verdict::Tampered, format!("line {line}"), evidence))
        }
        stop => stop,
    })?;
    let checkpoint = believed(&header, trust)?;
    let extends = header.extends.as_ref();
    extended(&checkpoint, extends).map_err(|stop| stop.with(&checkpoint))?;
    if let Some(last) = last {
        joined(&checkpoint, last, extends).map_err(|stop| stop.with(&checkpoint))?;
    }
    let mut events = Events {
        next: header.positions.start,
        checked: Checked {
            checkpoint,
            positions: header.positions,
            events: 0,
            values: Values::default(),
            told: Told::default(),
            findings: Vec::new(),
        },
        findings: Findings::default(),
    };
    events.read(&mut lines, each).map_err(|stop| stop.with(&events.checked.checkpoint))?;
    Ok(events.finished())
}

fn header<R: BufRead>(lines: &mut Lines<R>) -> Result<Header, Stop> {
    lines.exactly(VERSION)?;
    let log = lines.after("log")?;
    let range = lines.after("positions")?;
    let range = range.split_once(' ').and_then(|(start, end)| Some(from_decimal(start)?..from_decimal(end)?));
    let positions = range.filter(|range| range.start < range.end && range.end - range.start <= MOST_EVENTS);
    let positions = positions.ok_or_else(|| lines.wrong("it names no range of positions"))?;
    lines.exactly("policy")?;
    let policy = lines.paragraph()?;
    let policy = Policy::parse(&policy).ok_or_else(|| lines.wrong("no policy stands before it"))?;
    lines.exactly("checkpoint")?;
    let checkpoint = format!("{}\n{}", lines.paragraph()?, lines.paragraph()?);
    // Where the file ends here, events are missing: that is not the header's to say.
    let has_proof = match lines.next() {
        Ok(line) => line.is_some_and(|line| line.starts_with("extends ")),
        Err(Stop::End(_)) => false,
        Err(stop) => return Err(stop),
    };
    lines.unread();
    let extends = if has_proof {
        let tree = lines.after("extends")?;
        let tree = tree.split_once(' ').and_then(|(size, root)| {
            let root = Hash::try_from(from_base64(root)?).ok()?;
            Some(TreeHead { size: from_decimal(size)?, root })
        });
        Some((tree.ok_or_else(|| lines.wrong("it names no tree"))?, lines.hashes()?))
    } else {
        None
    };
    Ok(Header { log, positions, policy, checkpoint, extends })
}

/// The checkpoint, when the auditor believes it and its policy holds too.
fn believed(header: &Header, trust: &Trust) -> Result<Believed, Stop> {
    let checkpoint = trust.believe(&header.checkpoint).map_err(Stop::found)?;
    // A policy without a log's key says nothing about signatures.
    if !header.policy.logs().is_empty() {
        let stated = Trust::new(header.policy.clone())
            .and_then(|policy| policy.believe(&header.checkpoint).map_err(|finding| finding.evidence));
        stated.map_err(|evidence| {
            let evidence = format!("by the bundle's own policy: {evidence}");
            Stop::found(Finding::new(Verdict::Untrusted, "policy", evidence))
        })?;
    }
    let tampered =
        |field: &str, evidence: String| Stop::found(Finding::new(Verdict::Tampered, field, evidence));
    if header.log != checkpoint.log {
        return Err(tampered("log", format!("the checkpoint is of {:?}", checkpoint.log)));
    }
    let size = checkpoint.head.size;
    if header.positions.end > size {
        return Err(tampered("positions", format!("the checkpoint's tree has {size} events")));
    }
    Ok(checkpoint)
}

/// Whether the tree continues the smaller one that the bundle names.
fn extended(checkpoint: &Believed, extends: Option<&(TreeHead, Vec<Hash>)>) -> Result<(), Stop> {
    let Some((first, proof)) = extends else { return Ok(()) };
    let proven = match first.size {
        0 => Err("every tree continues the empty one".to_owned()),
        size if size == checkpoint.head.size => Err("it is the checkpoint's own tree".to_owned()),
        _ => check_extension(first, &checkpoint.head, proof),
    };
    proven.map_err(|why| {
        let evidence = format!("the bundle does not prove that it continues {} events: {why}", first.size);
        Stop::found(Finding::new(Verdict::Tampered, "proof", evidence))
    })
}

/// Whether the tree continues the auditor's last one. What the bundle proves of that size was checked.
fn joined(
    checkpoint: &Believed,
    last: &Believed,
    extends: Option<&(TreeHead, Vec<Hash>)>,
) -> Result<(), Stop> {
    checkpoint.after(last).map_err(Stop::found)?;
    if last.head == checkpoint.head {
        return Ok(());
    }
    match extends.filter(|(first, _)| first.size == last.head.size) {
        Some((first, _)) if *first == last.head => Ok(()),
        // The signed tree was shown to begin with another one of that size.
        Some(_) => Err(Stop::found(checkpoint.forked(last))),
        None => Err(Stop::Unjoined(last.head.size)),
    }
}

/// The reading of the events.
struct Events {
    next: u64,
    checked: Checked,
    findings: Findings,
}

impl Events {
    fn read<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        each: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
    ) -> Result<(), Stop> {
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line.to_owned(),
                Ok(None) | Err(Stop::End(_)) => {
                    self.cut_off();
                    return Ok(());
                }
                Err(stop) => return Err(stop),
            };
            if let Some(sum) = line.strip_prefix(END) {
                self.up_to(self.checked.positions.end);
                let sound = self.findings.is_empty();
                // What was found says more than that something must be wrong.
                if sound && from_base64(sum).is_none_or(|sum| sum != lines.sum()) {
                    return Err(lines.wrong("it is not the sum of what stands before it"));
                }
                return match lines.next() {
                    Ok(None) => Ok(()),
                    Ok(Some(_)) | Err(Stop::End(_) | Stop::Found(..)) if sound => {
                        Err(lines.wrong("the bundle has ended before it"))
                    }
                    Ok(Some(_)) | Err(Stop::End(_) | Stop::Found(..)) => Ok(()),
                    Err(stop) => Err(stop),
                };
            }
            match self.event(&line, lines, each) {
                Err(Stop::End(_)) => {
                    self.cut_off();
                    return Ok(());
                }
                Err(Stop::Found(finding, _)) => {
                    // What follows cannot be read when this cannot.
                    return Err(Stop::found(finding.at(self.next..self.next + 1)));
                }
                ended => ended?,
            }
        }
    }

    fn event<R: BufRead>(
        &mut self,
        line: &str,
        lines: &mut Lines<R>,
        each: &mut dyn FnMut(&Entry<'_>) -> io::Result<()>,
    ) -> Result<(), Stop> {
        let position = line.strip_prefix("event ").and_then(from_decimal);
        let position = position.ok_or_else(|| lines.wrong("it begins no event"))?;
        let record = from_base64(lines.some()?).ok_or_else(|| lines.wrong("it is no record in base64"))?;
        let beside = match lines.some()?.strip_prefix(PERSONAL) {
            Some(beside) => {
                let beside =
                    beside.strip_prefix(' ').and_then(from_base64).filter(|beside| !beside.is_empty());
                beside.ok_or_else(|| lines.wrong("it holds no values in base64"))?
            }
            None => {
                lines.unread();
                Vec::new()
            }
        };
        lines.exactly(PROOF)?;
        lines.exactly(&format!("index {position}"))?;
        let path = lines.hashes()?;
        let here = position..position.saturating_add(1);
        if position < self.next || position >= self.checked.positions.end {
            let evidence = format!("an event of this position stands where {} is next", self.next);
            self.findings.push(Finding::new(Verdict::Tampered, "position", evidence).at(here));
            return Ok(());
        }
        self.up_to(position);
        self.next = position + 1;
        let Checked { checkpoint, .. } = &self.checked;
        match included(&record, position, &path, &checkpoint.head) {
            Ok(()) => {
                let values = Values::of(&record, &beside);
                let beside = if values.is_ok() { &beside[..] } else { &[] };
                let (record, path) = (&record, &path);
                each(&Entry { position, record, beside, path, checkpoint: &checkpoint.note })?;
                self.checked.events += 1;
                match values {
                    Ok(values) => {
                        self.checked.values.add(&values);
                        self.checked.told.see(position, record, &values);
                    }
                    Err(why) => {
                        self.findings.push(Finding::new(Verdict::Tampered, "personal", why).at(here));
                    }
                }
            }
            Err(why) => {
                let root = base64(&checkpoint.head.root);
                let evidence = format!("record and proof do not lead to the signed root {root}: {why}");
                self.findings.push(Finding::new(Verdict::Tampered, "record", evidence).at(here));
            }
        }
        Ok(())
    }

    /// Positions before this one that have not come are missing.
    fn up_to(&mut self, position: u64) {
        if self.next < position {
            let evidence = "the bundle has no event of these positions";
            self.findings.push(Finding::new(Verdict::Missing, "record", evidence).at(self.next..position));
            self.next = position;
        }
    }

    fn cut_off(&mut self) {
        if self.next < self.checked.positions.end {
            self.up_to(self.checked.positions.end);
        } else {
            self.findings.push(Finding::new(
                Verdict::Tampered,
                "last line",
                "the file was cut off before it",
            ));
        }
    }

    fn finished(mut self) -> Checked {
        // Only behind the last event of the checkpoint can nothing more be told.
        if self.checked.positions.end == self.checked.checkpoint.head.size {
            for finding in self.checked.told.findings() {
                self.findings.push(finding);
            }
        }
        Checked { findings: self.findings.into_list(), ..self.checked }
    }
}
