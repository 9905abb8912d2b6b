//! (room to be furnished)
pub mod storage;
