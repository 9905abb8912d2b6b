//! SIP as pure machines: messages, transactions, dialogs and usages. Bodies are bytes with a content type.
pub mod alert;
pub mod auth;
pub mod body;
pub mod dialog;
pub mod diversion;
pub mod error;
pub mod event;
pub mod identity;
pub mod info;
pub mod instant;
pub mod invite;
pub mod key;
pub mod locate;
pub mod message;
pub mod options;
pub mod refer;
pub mod register;
pub mod replaces;
mod requests;
mod soft_state;
pub mod timer;
pub mod transaction;
pub mod transport;

#[cfg(test)]
pub(crate) mod testing;
