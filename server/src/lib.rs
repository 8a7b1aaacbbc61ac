//! The RESP server around the engine.
