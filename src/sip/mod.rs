//! SIP as pure machines: messages, transactions, dialogs and usages. Bodies are bytes with a content type.
pub mod message;
