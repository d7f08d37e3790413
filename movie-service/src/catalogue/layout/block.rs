//! Blocks: many segments in one contiguous memory mapping.

use bytes::Bytes;
use memmap2::MmapMut;

use crate::catalogue::layout::segment::{Draft, DraftDetails, Segment};

/// The size of a block: a huge page on x86-64 and ARM64.
const BLOCK_BYTES: usize = 2 * 1024 * 1024;

/// Makes segments whose frames are adjacent in memory. The operating system is asked to back this memory with a huge
/// page, which reduces page faults while loading and TLB misses on lookups.
#[derive(Debug, Default)]
pub(crate) struct Block {
    memory: Option<MmapMut>,
    /// End of the frames of the last segment.
    used: usize,
    /// For each segment, the size of its frames in bytes and its details.
    parts: Vec<(usize, DraftDetails)>,
}

impl Block {
    /// Adds the movies of a draft, and returns the segments that are complete; usually none.
    pub(crate) fn put(&mut self, draft: &Draft) -> Vec<Segment> {
        let length = draft.frames().len();
        let mut ready = if self.used + length > BLOCK_BYTES { self.finish() } else { Vec::new() };
        if self.memory.is_none() && length <= BLOCK_BYTES {
            self.memory = map();
        }
        match &mut self.memory {
            Some(memory) if length <= BLOCK_BYTES => {
                memory[self.used..self.used + length].copy_from_slice(draft.frames());
                self.used += length;
                self.parts.push((length, draft.details()));
            }
            // The draft is too large for a block, or the block could not be mapped.
            _ => ready.push(Segment::new(Bytes::copy_from_slice(draft.frames()), draft.details())),
        }
        ready
    }

    /// Returns the remaining segments, and starts a new block.
    pub(crate) fn finish(&mut self) -> Vec<Segment> {
        let Self { memory, used, parts } = std::mem::take(self);
        let Some(memory) = memory else { return Vec::new() };
        // A block that is less than half full would waste most of a huge page.
        let frames = if used < BLOCK_BYTES / 2 {
            Bytes::copy_from_slice(&memory[..used])
        } else {
            Bytes::from_owner(memory)
        };
        let mut start = 0;
        let segment = |(length, details)| {
            start += length;
            Segment::new(frames.slice(start - length..start), details)
        };
        parts.into_iter().map(segment).collect()
    }
}

/// Maps a block; `None` if the operating system refuses.
fn map() -> Option<MmapMut> {
    let memory = MmapMut::map_anon(BLOCK_BYTES).ok()?;
    #[cfg(target_os = "linux")]
    {
        // Without huge pages, lookups are slower but correct.
        let _ = memory.advise(memmap2::Advice::HugePage);
    }
    Some(memory)
}
