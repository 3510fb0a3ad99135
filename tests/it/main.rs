//! End to end, on real services.

mod layers;
mod p3;
mod support;
