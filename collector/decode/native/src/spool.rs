//! Packed rows of a recording, in memory or on disk, dealt by trace.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::packed::{Chunk, TRACE_HI, TRACE_LO};
use crate::window::{spread, Window};

/// Files that rows are dealt to.
pub const PARTITIONS: usize = 64;
const SHIFT: u32 = 64 - PARTITIONS.ilog2();

/// A spool.
#[derive(Default)]
pub struct Spool {
    chunks: Vec<Chunk>,
    /// what the rows in memory take
    pub bytes: usize,
}

impl Spool {
    /// Takes rows.
    pub fn add(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes();
        self.chunks.push(chunk);
    }

    /// Writes all rows to the files of their traces; how many went to each.
    pub fn spill(&mut self, folder: &Path) -> io::Result<Vec<usize>> {
        let place = |row: &[u64]| (spread(row[TRACE_HI], row[TRACE_LO]) >> SHIFT) as usize;
        let dealt = Chunk::dealt(&std::mem::take(&mut self.chunks), PARTITIONS, place);
        self.bytes = 0;
        for (number, chunk) in dealt.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true);
            chunk.write_to(&mut file.open(partition(folder, number))?)?;
        }
        Ok(dealt.iter().map(Chunk::len).collect())
    }

    /// Puts the rows in memory into a window.
    pub fn pour(&mut self, window: &mut Window) {
        self.bytes = 0;
        for chunk in std::mem::take(&mut self.chunks) {
            window.add(chunk, 0);
        }
    }
}

/// Puts the rows of a file into a window.
pub fn pour_partition(folder: &Path, number: usize, window: &mut Window) -> io::Result<()> {
    let mut file = BufReader::new(File::open(partition(folder, number))?);
    while let Some(chunk) = Chunk::read_from(&mut file)? {
        window.add(chunk, 0);
    }
    Ok(())
}

fn partition(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:02}.packed"))
}
