//! The files that pages refer to. They are part of the program and are named after their
//! content, so that a browser may keep them for ever.

use mvb_protocol::hash::sha256;
use std::sync::LazyLock;

/// A file.
pub struct Asset {
    name: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Its content.
    pub content: &'static str,
    path: LazyLock<String>,
}

/// The style sheet.
pub static STYLE: Asset = Asset {
    name: "style.css",
    kind: "text/css; charset=utf-8",
    content: include_str!("../assets/style.css"),
    path: LazyLock::new(|| STYLE.hashed()),
};

/// What makes pages live.
pub static LIVE: Asset = Asset {
    name: "live.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("../assets/live.js"),
    path: LazyLock::new(|| LIVE.hashed()),
};

/// The picture beside a page's title.
pub static ICON: Asset = Asset {
    name: "icon.svg",
    kind: "image/svg+xml",
    content: include_str!("../assets/icon.svg"),
    path: LazyLock::new(|| ICON.hashed()),
};

/// All of them.
pub static ASSETS: [&Asset; 3] = [&STYLE, &LIVE, &ICON];

impl Asset {
    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn hashed(&self) -> String {
        let hash = hex::encode(&sha256(&[self.content.as_bytes()])[..6]);
        format!("/assets/{hash}/{}", self.name)
    }
}

/// The file at a path.
pub fn at(path: &str) -> Option<&'static Asset> {
    ASSETS.into_iter().find(|asset| asset.path() == path)
}
