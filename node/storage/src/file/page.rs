//! The layout of LMDB's pages on 64-bit machines, format version 1. Every offset is checked
//! before it is followed; `None` means that the bytes are no page.

/// Bytes before a page's content.
pub(super) const HEADER_BYTES: usize = 16;

/// Bytes of a node before its key.
const NODE_BYTES: usize = 8;

/// Bytes that describe a tree.
const TREE_BYTES: usize = 48;

/// The flags that say what a page is.
const KIND_FLAGS: u16 = 0x2f;

/// The node's value stands on pages of its own.
const LARGE: u16 = 0x01;

/// The node's value describes a table.
const TABLE: u16 = 0x02;

/// The root of a tree without pages.
const NO_PAGE: u64 = u64::MAX;

/// `N` bytes at an offset that the caller knows to lie inside.
pub(super) fn at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    get(bytes, offset).unwrap_or([0; N])
}

fn get<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn short(bytes: &[u8], offset: usize) -> Option<u16> {
    get(bytes, offset).map(u16::from_ne_bytes)
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    get(bytes, offset).map(u64::from_ne_bytes)
}

/// Where a tree begins and what it should hold.
pub(super) struct Tree {
    flags: u16,
    pub(super) depth: u16,
    pub(super) entries: u64,
    pub(super) root: u64,
}

impl Tree {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..TREE_BYTES)?;
        Some(Self {
            flags: short(bytes, 4)?,
            depth: short(bytes, 6)?,
            entries: word(bytes, 32)?,
            root: word(bytes, 40)?,
        })
    }

    /// Whether its keys are plain bytes with one value each, as all tables here are.
    pub(super) fn is_plain(&self) -> bool {
        self.flags == 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root == NO_PAGE && self.entries == 0
    }
}

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Branch,
    Leaf,
    Large,
    Meta,
}

/// What the flags of a page say it is.
pub(super) fn kind(page: &[u8]) -> Option<Kind> {
    match short(page, 10)? & KIND_FLAGS {
        0x01 => Some(Kind::Branch),
        0x02 => Some(Kind::Leaf),
        0x04 => Some(Kind::Large),
        0x08 => Some(Kind::Meta),
        _ => None,
    }
}

/// A page of a tree whose node offsets lie inside it.
pub(super) struct Page<'p> {
    bytes: &'p [u8],
    kind: Kind,
    lower: usize,
    upper: usize,
}

impl<'p> Page<'p> {
    pub(super) fn read(bytes: &'p [u8], number: u64) -> Option<Self> {
        let kind = kind(bytes)?;
        let lower = usize::from(short(bytes, 12)?);
        let upper = usize::from(short(bytes, 14)?);
        let sound = word(bytes, 0)? == number
            && lower > HEADER_BYTES
            && lower.is_multiple_of(2)
            && lower <= upper
            && upper <= bytes.len();
        sound.then_some(Self {
            bytes,
            kind,
            lower,
            upper,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The nodes in order; `None` for one that leaves the page.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Option<Node<'p>>> {
        (HEADER_BYTES..self.lower)
            .step_by(2)
            .map(|pointer| self.node(usize::from(short(self.bytes, pointer)?)))
    }

    fn node(&self, offset: usize) -> Option<Node<'p>> {
        if offset < self.upper || !offset.is_multiple_of(2) {
            return None;
        }
        let [low, high, flags] =
            [0, 2, 4].map(|part| short(self.bytes, offset + part).map(u64::from));
        let (low, high, flags) = (low?, high?, flags?);
        let key_bytes = usize::from(short(self.bytes, offset + 6)?);
        let key = self.bytes.get(offset + NODE_BYTES..)?.get(..key_bytes)?;
        if self.kind == Kind::Branch {
            return Some(Node::Child(low | high << 16 | flags << 32));
        }
        let bytes = usize::try_from(low | high << 16).ok()?;
        let rest = self.bytes.get(offset + NODE_BYTES + key_bytes..)?;
        match flags as u16 {
            0 | TABLE => Some(Node::Entry {
                key,
                value: rest.get(..bytes)?,
            }),
            LARGE => Some(Node::Large {
                key,
                first: word(rest, 0)?,
                bytes,
            }),
            _ => None,
        }
    }
}

/// One node of a page.
pub(super) enum Node<'p> {
    /// The page below.
    Child(u64),
    /// An entry of a leaf.
    Entry { key: &'p [u8], value: &'p [u8] },
    /// An entry whose value stands on pages of its own.
    Large {
        key: &'p [u8],
        first: u64,
        bytes: usize,
    },
}

/// How many pages a large value of so many bytes takes.
pub(super) fn large_pages(bytes: usize, page_bytes: usize) -> u64 {
    ((HEADER_BYTES - 1 + bytes) / page_bytes + 1) as u64
}

/// Whether a page begins a large value of so many pages.
pub(super) fn is_large(header: &[u8], number: u64, count: u64) -> bool {
    word(header, 0) == Some(number)
        && kind(header) == Some(Kind::Large)
        && get(header, 12).map(u32::from_ne_bytes).map(u64::from) == Some(count)
}

/// The pages that an entry of the free list names.
pub(super) fn free_list(value: &[u8]) -> Option<Vec<u64>> {
    let count = usize::try_from(word(value, 0)?).ok()?;
    let pages = value.get(8..)?.get(..count.checked_mul(8)?)?;
    let (pages, _) = pages.as_chunks::<8>();
    Some(pages.iter().map(|page| u64::from_ne_bytes(*page)).collect())
}
