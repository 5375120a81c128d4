//! The replay finds what is wrong.
