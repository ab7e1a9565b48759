//! Chunks of packed rows on disk; only this program on this machine reads them again.

use std::io::{self, Read, Write};

use crate::columns::Group;
use crate::packed::Chunk;

/// Codes of a group.
const GROUP: usize = size_of::<Group>() / size_of::<u64>();

impl Chunk {
    /// Writes it.
    pub fn write_to(&self, file: &mut impl Write) -> io::Result<()> {
        let sizes = [
            self.words.len(),
            self.len(),
            self.groups.len(),
            self.links.len(),
        ];
        write_words(file, sizes.iter().map(|&size| size as u64))?;
        write_words(file, self.words.iter().copied())?;
        write_words(file, self.offsets.iter().map(|&offset| u64::from(offset)))?;
        write_words(file, self.groups.iter().flatten().copied())?;
        let links = self.links.iter();
        write_words(
            file,
            links.flat_map(|(row, ids)| [u64::from(*row), ids[0], ids[1], ids[2]]),
        )
    }

    /// Reads one that was written; None at the end.
    pub fn read_from(file: &mut impl Read) -> io::Result<Option<Self>> {
        let mut sizes = [0; 32];
        match file.read(&mut sizes[..1])? {
            0 => return Ok(None),
            _ => file.read_exact(&mut sizes[1..])?,
        }
        let size = |place: usize| {
            let bytes = sizes[place * 8..].first_chunk();
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes) as usize)
        };
        let words = read_words(file, size(0))?;
        let offsets = read_words(file, size(1) + 1)?;
        let groups = read_words(file, size(2) * GROUP)?;
        let links = read_words(file, size(3) * 4)?;
        Ok(Some(Self {
            words,
            offsets: offsets.into_iter().map(|offset| offset as u32).collect(),
            groups: groups
                .chunks_exact(GROUP)
                .map(|codes| std::array::from_fn(|n| codes[n]))
                .collect(),
            links: links
                .chunks_exact(4)
                .map(|link| (link[0] as u32, [link[1], link[2], link[3]]))
                .collect(),
            arrival_ns: 0,
        }))
    }
}

/// Words that are turned to bytes at a time.
const PIECE: usize = 2_048;

fn write_words(file: &mut impl Write, words: impl Iterator<Item = u64>) -> io::Result<()> {
    let mut bytes = [0; PIECE * 8];
    let mut filled = 0;
    for word in words {
        bytes[filled..filled + 8].copy_from_slice(&word.to_le_bytes());
        filled += 8;
        if filled == bytes.len() {
            file.write_all(&bytes)?;
            filled = 0;
        }
    }
    file.write_all(&bytes[..filled])
}

fn read_words(file: &mut impl Read, count: usize) -> io::Result<Vec<u64>> {
    let mut bytes = [0; PIECE * 8];
    let mut words = Vec::with_capacity(count);
    while words.len() < count {
        let piece = &mut bytes[..PIECE.min(count - words.len()) * 8];
        file.read_exact(piece)?;
        let read = piece.chunks_exact(8).filter_map(|word| word.first_chunk());
        words.extend(read.map(|word| u64::from_le_bytes(*word)));
    }
    Ok(words)
}
