//! The bytes of Moon: encoders and decoders over slices.
