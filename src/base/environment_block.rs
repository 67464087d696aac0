//! The environment of a process to come: built in locked memory, and handed to the kernel from there.

use std::ffi::CStr;

use super::locked_memory::Locked;

/// `NAME=value` and NUL, one after another.
pub(crate) struct EnvironmentBlock {
    block: Locked,
    ends: Vec<usize>,
}

impl EnvironmentBlock {
    /// No variables, and room for `bytes` of them before they have to move.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            block: Locked::with_capacity(bytes),
            ends: vec![],
        }
    }

    /// Adds a variable. What holds a NUL is left out by [`EnvironmentBlock::entries`].
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, b"=", value, b"\0"] {
            self.block.push(part);
        }
        self.ends.push(self.block.len());
    }

    /// The memory that a child needs in order to execute a command with it.
    pub(crate) fn memory(&self) -> &Locked {
        &self.block
    }

    /// The entries, in place.
    pub(crate) fn entries(&self) -> Vec<&CStr> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let entries = starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.block[start..end]);
        entries
            .filter_map(|entry| CStr::from_bytes_with_nul(entry).ok())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_where_they_were_put_and_none_holds_a_nul() {
        let mut block = EnvironmentBlock::with_capacity(1);
        block.push(b"A", b"1");
        block.push(b"B", b"a\0b");
        block.push(b"C", &[b'x'; 5000]);
        let entries: Vec<usize> = block.entries().iter().map(|e| e.count_bytes()).collect();
        assert_eq!(entries, [3, 5002]);
        assert_eq!(block.entries()[0], c"A=1");
    }
}
