//! Small pieces of the picture: text of a known width, time lines, meters, times and grades.
pub mod clock;
pub mod grade;
pub mod graph;
pub mod paint;
pub mod text;
