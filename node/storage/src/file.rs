//! Looking at an LMDB file with plain reads, before LMDB maps it.
//!
//! LMDB trusts its file: it has no checksums, a page beyond the end of a file that was cut
//! is a SIGBUS, and a page number that became garbage is a wild pointer. So what it would
//! follow is followed here first, within bounds: the two meta pages and the file's length
//! at every open, and every reachable page unless somebody is known to have looked at them, and
//! when a store is verified.
//! Nothing is ever repaired.

mod page;
mod walk;

use mvb_protocol::chain::StoreError;
use page::{Kind, Tree, at};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};
use walk::walk_tree;

/// The file with the data inside an environment's folder.
pub(crate) const DATA_FILE: &str = "data.mdb";

/// What every meta page carries.
const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;

/// The sizes a page can have.
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 512..=32_768;

/// Where a meta page's parts stand.
const META_PAGES: u64 = 2;
const META_BYTES: usize = 152;
const MAGIC_AT: usize = 16;
const VERSION_AT: usize = 20;
const FREE_TREE_AT: usize = 40;
const MAIN_TREE_AT: usize = 88;
const LAST_PAGE_AT: usize = 136;
const TRANSACTION_AT: usize = 144;

/// What errors call the tree of free pages.
const FREE_LIST: &str = "the free list";

/// What a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No data file, or an empty one.
    Nothing,
    /// A data file to which nothing was ever committed: its creation was cut off.
    Blank,
    /// A data file.
    Data,
}

/// How much of a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Its meta pages and its length; its pages only if it is shorter than it should be.
    Header,
    /// Every page that can be reached.
    Pages,
}

/// Whether the state asked for could still be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It could, and it is sound.
    Sound,
    /// A writer has replaced its meta page meanwhile.
    Replaced,
}

/// What the file in a folder is.
pub(crate) fn find(folder: &Path) -> Result<Found, StoreError> {
    let mut file = match File::open(folder.join(DATA_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        opened => opened.map_err(failed)?,
    };
    let length = file.metadata().map_err(failed)?.len();
    if length == 0 {
        return Ok(Found::Nothing);
    }
    // LMDB writes the two meta pages of a new file at once and nothing before them, so a
    // crash may leave just their length. Any other length is what is left of a store.
    let page_bytes = usize::try_from(length / META_PAGES).unwrap_or(usize::MAX);
    if length.is_power_of_two() && PAGE_BYTES.contains(&page_bytes) {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Found::Blank);
        }
        file.rewind().map_err(failed)?;
    }
    // A disk that was full may have taken the first of them only.
    let mut first = [0; META_BYTES];
    let is_first = file.read_exact(&mut first).is_ok() && is_half_created(&first, length);
    Ok(if is_first { Found::Blank } else { Found::Data })
}

/// Whether a file of that length ends within the two meta pages of an empty environment. In
/// what is left of a store the first meta page tells of a commit.
fn is_half_created(first: &[u8], length: u64) -> bool {
    let word = |offset| u64::from_ne_bytes(at(first, offset));
    let page_bytes = u64::from(u32::from_ne_bytes(at(first, FREE_TREE_AT)));
    u32::from_ne_bytes(at(first, MAGIC_AT)) == MAGIC
        && length < META_PAGES * page_bytes
        && word(LAST_PAGE_AT) == META_PAGES - 1
        && word(TRANSACTION_AT) == 0
}

/// Checks the file in a folder: the state of a transaction, or the newest one.
pub(crate) fn check(
    folder: &Path,
    transaction: Option<u64>,
    depth: Depth,
) -> Result<Checked, StoreError> {
    // Only the layout of 64-bit machines is known here.
    if cfg!(not(target_pointer_width = "64")) {
        return Ok(Checked::Sound);
    }
    let mut file = DataFile::open(folder)?;
    let Some(meta) = file.meta(transaction)? else {
        return Ok(Checked::Replaced);
    };
    file.measure()?;
    // Pages at the end that were freed before they were written are missing rightly, so
    // a short file alone is no fault.
    if depth == Depth::Header && meta.last_page < file.pages {
        return Ok(Checked::Sound);
    }
    let walked = file.walk(&meta);
    // Without a read transaction a writer may take the pages of the state that was newest.
    // It has replaced it then, and what was seen says nothing.
    if walked.is_err() && transaction.is_none() {
        let newest = file.meta(None)?.map(|newest| newest.transaction);
        if newest != Some(meta.transaction) {
            return Ok(Checked::Replaced);
        }
    }
    walked.map(|()| Checked::Sound)
}

fn failed(error: io::Error) -> StoreError {
    StoreError::Io {
        reason: error.to_string(),
    }
}

fn damaged(what: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        what: format!("{DATA_FILE}: {}", what.into()),
    }
}

/// A state of the file: its trees and its end.
struct Meta {
    free: Tree,
    main: Tree,
    last_page: u64,
    transaction: u64,
}

struct DataFile {
    file: File,
    page_bytes: usize,
    /// How many whole pages the file has.
    pages: u64,
    /// A bit for each page that was reached, so that none is reached twice.
    reached: Vec<u64>,
}

impl DataFile {
    fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut file = File::open(folder.join(DATA_FILE)).map_err(failed)?;
        let mut first = [0; META_BYTES];
        read_exact(&mut file, &mut first)?;
        let page_bytes = u32::from_ne_bytes(at(&first, FREE_TREE_AT)) as usize;
        if !page_bytes.is_power_of_two() || !PAGE_BYTES.contains(&page_bytes) {
            return Err(damaged("meta page 0 is garbage"));
        }
        Ok(Self {
            file,
            page_bytes,
            pages: 0,
            reached: Vec::new(),
        })
    }

    /// Takes the file's length. Done after the meta page was read: a writer lengthens the
    /// file before it replaces that.
    fn measure(&mut self) -> Result<(), StoreError> {
        let length = self.file.metadata().map_err(failed)?.len();
        self.pages = length / self.page_bytes as u64;
        let words = usize::try_from(self.pages.div_ceil(64)).unwrap_or(usize::MAX);
        self.reached = vec![0; words];
        Ok(())
    }

    /// The meta page of a transaction, or the newest one.
    fn meta(&mut self, transaction: Option<u64>) -> Result<Option<Meta>, StoreError> {
        let mut found: Option<Meta> = None;
        for number in 0..META_PAGES {
            let meta = self.read_meta(number)?;
            let wanted = match transaction {
                Some(wanted) => meta.transaction == wanted,
                None => found
                    .as_ref()
                    .is_none_or(|best| meta.transaction > best.transaction),
            };
            if wanted {
                found = Some(meta);
            }
        }
        Ok(found)
    }

    fn read_meta(&mut self, number: u64) -> Result<Meta, StoreError> {
        let page = self.read(number, self.page_bytes)?;
        let garbage = || damaged(format!("meta page {number} is garbage"));
        let word = |offset| u64::from_ne_bytes(at(&page, offset));
        if u32::from_ne_bytes(at(&page, MAGIC_AT)) != MAGIC
            || u32::from_ne_bytes(at(&page, FREE_TREE_AT)) as usize != self.page_bytes
            || page::kind(&page) != Some(Kind::Meta)
            || word(0) != number
        {
            return Err(garbage());
        }
        let version = u32::from_ne_bytes(at(&page, VERSION_AT));
        if version != VERSION {
            return Err(damaged(format!(
                "has version {version} of LMDB's format, expected {VERSION}"
            )));
        }
        let meta = Meta {
            free: Tree::read(&page[FREE_TREE_AT..]).ok_or_else(garbage)?,
            main: Tree::read(&page[MAIN_TREE_AT..]).ok_or_else(garbage)?,
            last_page: word(LAST_PAGE_AT),
            transaction: word(TRANSACTION_AT),
        };
        // A last page far beyond the end would have LMDB map and number what never was.
        if meta.last_page < META_PAGES - 1 || meta.last_page >= 1 << 40 {
            return Err(garbage());
        }
        Ok(meta)
    }

    /// Follows everything that LMDB would follow from a meta page.
    fn walk(&mut self, meta: &Meta) -> Result<(), StoreError> {
        for number in 0..META_PAGES {
            self.reach(number, 1)?;
        }
        let mut named = Vec::new();
        walk_tree(
            self,
            &meta.main,
            "the list of tables",
            &mut |name, value| {
                let Some(tree) = Tree::read(value).filter(Tree::is_plain) else {
                    return Err(damaged("a table's root is garbage"));
                };
                named.push((String::from_utf8_lossy(name).into_owned(), tree));
                Ok(())
            },
        )?;
        for (name, tree) in named {
            walk_tree(self, &tree, &name, &mut |_, _| Ok(()))?;
        }
        let mut free = Vec::new();
        walk_tree(self, &meta.free, FREE_LIST, &mut |_, value| {
            let Some(pages) = page::free_list(value) else {
                return Err(damaged("the free list is garbage"));
            };
            free.extend(pages);
            Ok(())
        })?;
        // A page that is both free and in use would be overwritten by the next commit.
        match free
            .into_iter()
            .find(|number| *number > meta.last_page || self.is_reached(*number))
        {
            Some(number) => Err(damaged(format!("page {number} is in use and free"))),
            None => Ok(()),
        }
    }

    /// Notes that pages are in use.
    fn reach(&mut self, first: u64, count: u64) -> Result<(), StoreError> {
        let end = first.checked_add(count).filter(|end| *end <= self.pages);
        let Some(end) = end else {
            return Err(damaged(format!(
                "page {first} lies beyond its end at page {}: it was cut off",
                self.pages
            )));
        };
        for number in first..end {
            if self.is_reached(number) {
                return Err(damaged(format!("page {number} is in use twice")));
            }
            self.reached[(number / 64) as usize] |= 1 << (number % 64);
        }
        Ok(())
    }

    fn is_reached(&self, number: u64) -> bool {
        usize::try_from(number / 64)
            .ok()
            .and_then(|word| self.reached.get(word))
            .is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    fn read(&mut self, number: u64, bytes: usize) -> Result<Vec<u8>, StoreError> {
        let mut page = vec![0; bytes];
        let start = SeekFrom::Start(number * self.page_bytes as u64);
        self.file.seek(start).map_err(failed)?;
        read_exact(&mut self.file, &mut page)?;
        Ok(page)
    }
}

fn read_exact(file: &mut File, bytes: &mut [u8]) -> Result<(), StoreError> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it was cut off"),
        _ => failed(error),
    })
}
