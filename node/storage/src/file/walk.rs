//! The way through one tree of an LMDB file: every page it can reach, every entry it has.

use super::{
    DataFile, FREE_LIST, damaged,
    page::{self, Kind, Node, Page, Tree},
};
use mvb_protocol::chain::StoreError;

/// The deepest tree that LMDB can follow.
const MAX_DEPTH: u16 = 32;

/// What is done with an entry. The value is empty where only its place was checked.
type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>;

/// Follows a tree to its last page.
pub(super) fn walk_tree(
    file: &mut DataFile,
    tree: &Tree,
    name: &str,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    if tree.is_empty() {
        return Ok(());
    }
    if !(1..=MAX_DEPTH).contains(&tree.depth) {
        return Err(damaged(format!("{name} is {} pages deep", tree.depth)));
    }
    let mut walk = Walk {
        file,
        name,
        visit,
        entries: 0,
        last_key: Vec::new(),
    };
    walk.subtree(tree.root, tree.depth)?;
    let (got, expected) = (walk.entries, tree.entries);
    if got == expected {
        return Ok(());
    }
    Err(damaged(format!(
        "{name} has {got} entries, expected {expected}"
    )))
}

struct Walk<'w> {
    file: &'w mut DataFile,
    name: &'w str,
    visit: Visit<'w>,
    entries: u64,
    last_key: Vec<u8>,
}

impl Walk<'_> {
    /// Follows the pages below one; `depth` is 1 for leaves.
    fn subtree(&mut self, number: u64, depth: u16) -> Result<(), StoreError> {
        self.file.reach(number, 1)?;
        let bytes = self.file.read(number, self.file.page_bytes)?;
        let name = self.name;
        let garbage = || damaged(format!("page {number} of {name} is garbage"));
        let page = Page::read(&bytes, number).ok_or_else(garbage)?;
        let expected = if depth == 1 { Kind::Leaf } else { Kind::Branch };
        if page.kind() != expected {
            return Err(garbage());
        }
        // LMDB itself relies on two children at least, but for its free list.
        if page.kind() == Kind::Branch && page.nodes().count() < 2 && self.name != FREE_LIST {
            return Err(garbage());
        }
        for node in page.nodes() {
            match node.ok_or_else(garbage)? {
                Node::Child(child) => self.subtree(child, depth - 1)?,
                Node::Entry { key, value } => {
                    self.entry(key)?;
                    (self.visit)(key, value)?;
                }
                Node::Large { key, first, bytes } => {
                    self.entry(key)?;
                    let value = self.large(first, bytes)?;
                    (self.visit)(key, &value)?;
                }
            }
        }
        Ok(())
    }

    /// Counts an entry. Keys ascend, or look-ups go astray; those of the free list are
    /// numbers in the machine's order.
    fn entry(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if self.entries > 0 && key <= self.last_key.as_slice() && self.name != FREE_LIST {
            return Err(damaged(format!("{} is out of order", self.name)));
        }
        self.entries += 1;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    /// A value on pages of its own.
    fn large(&mut self, first: u64, bytes: usize) -> Result<Vec<u8>, StoreError> {
        let count = page::large_pages(bytes, self.file.page_bytes);
        self.file.reach(first, count)?;
        let header = self.file.read(first, page::HEADER_BYTES)?;
        if !page::is_large(&header, first, count) {
            return Err(damaged(format!("page {first} of {} is garbage", self.name)));
        }
        // Only the free list is read whole; what blocks say is for their decoder.
        if self.name != FREE_LIST {
            return Ok(Vec::new());
        }
        let mut value = self.file.read(first, page::HEADER_BYTES + bytes)?;
        value.drain(..page::HEADER_BYTES);
        Ok(value)
    }
}
