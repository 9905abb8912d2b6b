//! Sound devices, real and virtual, behind the same rings of mono samples; the only home of cpal.
pub mod choice;
pub mod devices;
pub mod drift;
pub mod ends;
pub mod keeper;
pub mod port;
pub mod resample;
pub mod ring;
pub mod stereo;
pub mod stream;
pub mod supervisor;
pub mod virtual_device;
pub mod wav;
