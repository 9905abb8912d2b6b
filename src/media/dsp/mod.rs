//! Signal processing on plain samples: levels, sample rates, tones, concealment. Knows neither packets nor time.
pub mod goertzel;
pub mod level;
pub mod limit;
pub mod pitch;
pub mod plc;
pub mod resample;
pub mod tone;
