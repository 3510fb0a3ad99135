//! All files of a task: looked for, read one after the other, followed, finished. Blocks; runs beside the runtime.
//!
//! Holds always: a file's position moves in the same step that hands its rows over; one file is open for reading at a time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connect_core::Result;
use connect_core::data::{SourcePartition, SourceRecord, Timestamp};
use connect_core::output::{BatchOrigin, Output};
use tracing::{debug, info, warn};

use crate::config::{FileIdentity, FileSourceConfig, FinishedAction};
use crate::discover::{Share, Stamp, Stamped, list};
use crate::finish::{Finished, finish};
use crate::names::{Names, compare};
use crate::opened::{Ended, OpenFile, Opening, Until};
use crate::position::{Position, fnv1a};
use crate::stored::{Stored, partition};
use crate::tracked::{Decision, Tracked};

/// Files kept open beside the one being read.
const KEPT_OPEN: usize = 64;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Messages of one file.
    Messages(Vec<SourceRecord>),
    /// Files seen for the first time: whoever asks tells where each was left, then asks again.
    Unknown(Vec<(PathBuf, Stamp)>),
    /// Nothing for so long.
    Nothing(Duration),
}

/// Something to read.
enum Work {
    /// A file by its name.
    Named(PathBuf, Until),
    /// A file that has lost its name.
    Nameless(PathBuf, File, Position),
}

/// The file being read.
struct Current {
    file: OpenFile,
    /// The key its position is stored under.
    partition: Arc<SourcePartition>,
    /// What a look showed before it was opened; none for a file that has lost its name.
    stamp: Option<Stamp>,
}

/// The files of a task.
pub(crate) struct Files {
    config: Arc<FileSourceConfig>,
    share: Share,
    output: Output,
    tracked: BTreeMap<PathBuf, Tracked>,
    work: VecDeque<Work>,
    current: Option<Current>,
    last_look: Option<Timestamp>,
    /// Messages handed over.
    messages: u64,
    /// Hashes of paths whose file was moved or deleted: another one there is new.
    finished: HashSet<u64>,
}

impl Files {
    pub(crate) fn new(config: FileSourceConfig, share: Share, connector: &str) -> Self {
        Self {
            output: Output::new(config.output.clone(), connector),
            config: Arc::new(config),
            share,
            tracked: BTreeMap::new(),
            work: VecDeque::new(),
            current: None,
            last_look: None,
            messages: 0,
            finished: HashSet::new(),
        }
    }

    /// The next messages, `acknowledged` of those handed over being safe.
    pub(crate) fn next(&mut self, now: Timestamp, acknowledged: u64) -> Result<Next> {
        loop {
            if let Some(current) = self.current.take() {
                let messages = self.read(current, now)?;
                if !messages.is_empty() {
                    return Ok(Next::Messages(messages));
                }
            } else if let Some(work) = self.work.pop_front() {
                self.current = self.open(work)?;
            } else {
                let wait = self.until_look(now);
                if !wait.is_zero() {
                    return Ok(Next::Nothing(wait));
                }
                let unknown = self.look(now, acknowledged)?;
                if !unknown.is_empty() {
                    return Ok(Next::Unknown(unknown));
                }
                self.last_look = Some(now);
            }
        }
    }

    /// Takes a file up where it was left, if that is known.
    pub(crate) fn adopt(
        &mut self,
        path: PathBuf,
        seen: Stamp,
        stored: Option<Stored>,
        now: Timestamp,
    ) {
        let again = self.finished.remove(&path_hash(&path));
        let stored = stored.filter(|_| !again);
        let position = stored.map(|stored| stored.position).unwrap_or_default();
        self.tracked.insert(path, Tracked::new(position, seen, now));
    }

    fn until_look(&self, now: Timestamp) -> Duration {
        let interval = self.config.files.interval;
        let due = self.last_look.map(|last| last.saturating_add(interval));
        // Never longer than the interval, though the clock were set back.
        due.map_or(Duration::ZERO, |due| now.duration_until(due).min(interval))
    }

    /// Looks for files and decides what to do with each; the ones not known yet.
    fn look(&mut self, now: Timestamp, acknowledged: u64) -> Result<Vec<(PathBuf, Stamp)>> {
        let listed = list(&self.config.files, self.share)?;
        if listed.is_empty() && self.last_look.is_none() {
            info!(file = self.config.files.file, "there is no such file yet");
        }
        self.follow_names(&listed, now);
        let unknown = listed
            .iter()
            .filter(|(path, _)| !self.tracked.contains_key(path));
        let unknown: Vec<_> = unknown.cloned().collect();
        if !unknown.is_empty() {
            return Ok(unknown);
        }
        for (path, seen) in listed {
            self.decide(path, seen, now, acknowledged);
        }
        Ok(unknown)
    }

    /// Files that were renamed keep their position; of those that lost their name the rest is read.
    fn follow_names(&mut self, listed: &[(PathBuf, Stamp)], now: Timestamp) {
        let known: Names = self
            .tracked
            .iter()
            .map(|(path, known)| (path.clone(), known.seen.id))
            .collect();
        let found: Names = listed
            .iter()
            .map(|(path, stamp)| (path.clone(), stamp.id))
            .collect();
        let changes = compare(&known, &found);
        let lost = changes
            .renamed
            .iter()
            .map(|(from, _)| from)
            .chain(&changes.gone);
        let mut lost: BTreeMap<PathBuf, Tracked> = lost
            .filter_map(|path| self.tracked.remove_entry(path))
            .collect();
        for (from, to) in changes.renamed {
            debug!(from = %from.display(), to = %to.display(), "a file was renamed");
            self.tracked
                .extend(lost.remove(&from).map(|known| (to, known)));
        }
        for path in changes.replaced {
            let position = self.position_of_replacement(lost.get(&path));
            let seen = listed.iter().find(|(listed, _)| *listed == path);
            self.tracked
                .extend(seen.map(|(_, seen)| (path, Tracked::new(position, *seen, now))));
        }
        for (path, known) in lost {
            self.nameless(path, known);
        }
    }

    /// Where to go on in a file that has taken the name of `gone`. Its bytes are looked at when it is opened.
    fn position_of_replacement(&self, gone: Option<&Tracked>) -> Position {
        match (self.config.files.identity, gone) {
            (FileIdentity::Content, Some(gone)) => gone.position,
            _ => Position::default(),
        }
    }

    /// Queues the rest of a file that lost its name.
    fn nameless(&mut self, path: PathBuf, known: Tracked) {
        let length = known
            .kept
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map(|metadata| metadata.len());
        match (known.kept, length) {
            (Some(file), Some(length)) if length > known.position.bytes => {
                self.work
                    .push_front(Work::Nameless(path, file, known.position));
            }
            (None, _) if known.read != Some(known.seen) => {
                warn!(file = %path.display(), "the file went away before it was read to its end");
            }
            _ => {}
        }
    }

    fn decide(&mut self, path: PathBuf, seen: Stamp, now: Timestamp, acknowledged: u64) {
        let Some(known) = self.tracked.get_mut(&path) else {
            return;
        };
        known.look(seen, now);
        match known.decide(now, acknowledged, &self.config.files) {
            Decision::Wait => {}
            Decision::Read => self.work.push_back(Work::Named(path, Until::LastLineBreak)),
            Decision::ReadTail => self.work.push_back(Work::Named(path, Until::End)),
            Decision::Finish => self.finish(&path),
        }
    }

    fn finish(&mut self, path: &Path) {
        let seen = self.tracked.get(path).map(|known| known.seen);
        match finish(path, seen, &self.config.files) {
            Ok(Finished::Other) => debug!(file = %path.display(), "changed: looked at again"),
            Ok(Finished::Done) => {
                info!(file = %path.display(), "finished");
                self.tracked.remove(path);
                self.finished.insert(path_hash(path));
            }
            Err(error) => warn!(error = error.trace(), "tried again at the next look"),
        }
    }

    fn open(&mut self, work: Work) -> Result<Option<Current>> {
        let (path, until) = match work {
            Work::Named(path, until) => (path, until),
            Work::Nameless(path, file, position) => {
                let file = OpenFile::nameless(&self.config, &path, file, position)?;
                let identity = self.config.files.identity;
                let partition = Arc::new(partition(identity, &path, position.inode));
                return Ok(file.map(|file| Current {
                    file,
                    partition,
                    stamp: None,
                }));
            }
        };
        // The look comes first: what is written after it makes the next look differ.
        let found = Stamped::open(&path)?;
        let (Some(found), Some(known)) = (found, self.tracked.get_mut(&path)) else {
            return Ok(None);
        };
        let stamp = found.stamp;
        if !known.still_holds(stamp, until) {
            // The next look tells what became of the file that was meant.
            return Ok(None);
        }
        let mut file = match OpenFile::open(&self.config, &path, found.file, known.position, until)?
        {
            Opening::File(file) => *file,
            Opening::NoHeader(ended) => {
                (known.read, known.ended) = (Some(stamp), Some(ended));
                return Ok(None);
            }
        };
        file.position.mark(stamp);
        let identity = self.config.files.identity;
        Ok(Some(Current {
            partition: Arc::new(partition(identity, &path, stamp.id.inode)),
            file,
            stamp: Some(stamp),
        }))
    }

    /// Reads a batch; keeps the file open if there is more.
    fn read(&mut self, mut current: Current, now: Timestamp) -> Result<Vec<SourceRecord>> {
        let batch = current.file.batch()?;
        let origin = BatchOrigin {
            partition: current.partition.clone(),
            offset: Stored::to_offset(current.file.position, &current.file.path),
            now,
        };
        let messages = self.output.messages(batch.rows, &origin)?;
        self.messages += u64::try_from(messages.len()).unwrap_or(0);
        let named = current
            .stamp
            .and_then(|stamp| Some((stamp, self.tracked.get_mut(&current.file.path)?)));
        if let Some((stamp, known)) = named {
            known.position = current.file.position;
            if !messages.is_empty() {
                known.last_message = self.messages;
            }
            if let Some(ended) = batch.ended {
                (known.read, known.ended) = (Some(stamp), Some(ended));
            }
        }
        match batch.ended {
            Some(ended) => self.close(current, ended),
            None if self.has_had_its_turn(&current) => {
                let path = current.file.path.clone();
                self.work.push_back(Work::Named(path, Until::LastLineBreak));
                self.put_away(current);
            }
            None => self.current = Some(current),
        }
        Ok(messages)
    }

    /// A file that grows as fast as it is read does not keep the others waiting.
    fn has_had_its_turn(&self, current: &Current) -> bool {
        let plain = !self.config.files.is_gzip(&current.file.path);
        let size = current.stamp.map(|stamp| stamp.size);
        plain
            && !self.work.is_empty()
            && size.is_some_and(|size| current.file.position.bytes >= size)
    }

    fn close(&mut self, current: Current, ended: Ended) {
        if ended.cut_off {
            let path = current.file.path.display();
            warn!(file = %path, "the compressed file is not whole yet");
        }
        self.put_away(current);
    }

    /// Is done with a file for now; its handle stays for the case that it loses its name.
    fn put_away(&mut self, current: Current) {
        let path = current.file.path.clone();
        let stays = self.config.files.finished_action == FinishedAction::Leave;
        if stays && current.stamp.is_some() {
            self.keep_open(&path, current.file.into_file());
        }
    }

    /// Keeps a file open; of too many the one that has not changed for longest is closed.
    fn keep_open(&mut self, path: &Path, file: Option<File>) {
        if let Some(known) = self.tracked.get_mut(path) {
            known.kept = file;
        }
        let kept = self
            .tracked
            .values_mut()
            .filter(|known| known.kept.is_some());
        let mut kept: Vec<_> = kept.collect();
        if kept.len() > KEPT_OPEN
            && let Some(oldest) = kept.iter_mut().min_by_key(|known| known.unchanged_since)
        {
            oldest.kept = None;
        }
    }
}

fn path_hash(path: &Path) -> u64 {
    fnv1a(path.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests;
