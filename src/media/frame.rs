//! The unit of sound everything between the network and the devices works in: 10 ms of mono at 48 kHz.

/// Samples of one frame.
pub const FRAME: usize = 480;

/// Samples a second of a frame \[Hz\].
pub const FRAME_RATE: u32 = 48_000;

/// 10 ms of mono sound at 48 kHz, full scale ±1.0.
pub type Frame = [f32; FRAME];

/// The length of a frame.
pub const FRAME_DURATION: std::time::Duration = std::time::Duration::from_millis(10);

/// A frame in which nothing is heard.
pub const SILENCE: Frame = [0.0; FRAME];
