//! What the store on disk promises beyond the suite: opening, reopening, refusing.
