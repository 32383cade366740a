//! The catalogue of our own metrics: every name, kind and meaning in one reviewed place.
