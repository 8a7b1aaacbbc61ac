//! The crash matrix.
