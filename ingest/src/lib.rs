//! Bytes in, commits out
