//! The program: how the rooms are joined for each of its commands.
mod certificate;
mod certificates;
pub mod config_check;
mod contacts;
pub mod demo;
pub mod devices;
pub mod headless;
pub mod init;
mod instance;
mod manual;
pub mod phone;
mod remembered;
pub mod report;
pub mod run;
pub mod screen;
pub mod serve;
pub mod sound;
pub mod wire;
