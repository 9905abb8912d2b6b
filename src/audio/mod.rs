//! Sound devices, real and virtual, behind the same rings of mono samples; the only home of cpal.
pub mod choice;
pub mod drift;
pub mod ends;
pub mod resample;
pub mod ring;
