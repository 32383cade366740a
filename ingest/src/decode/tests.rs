//! What decoding accepts, refuses and leaves behind.
