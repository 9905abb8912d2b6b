//! Tests of the whole screen: keys go in as the terminal gives them, pictures come out as the terminal shows them.
mod call_keys;
mod contacts;
mod dialling;
mod fixture;
mod help;
mod keys;
mod messages;
mod mouse;
mod pictures;
mod robust;
mod terminal;
mod texts;
mod time;
mod words;
