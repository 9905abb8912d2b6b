//! Event notification: one subscription as a machine, and what the packages we watch tell (RFC 6665).
pub mod dialog_info;
mod document;
pub mod mwi;
pub mod notifier;
pub mod presence;
pub mod publication;
mod subscription;

pub use subscription::{Config, End, Event, State, Subscription};

/// The largest body of a notification that is read \[bytes\].
const MAX_BODY: usize = 64 * 1024;
/// Most elements of an XML body.
const MAX_NODES: u32 = 4096;

/// Reads an XML body; document types and whatever they could make grow are refused.
fn xml(body: &[u8]) -> Option<roxmltree::Document<'_>> {
    let text = std::str::from_utf8(body.get(..body.len().min(MAX_BODY + 1))?).ok().filter(|t| t.len() <= MAX_BODY)?;
    let options = roxmltree::ParsingOptions { nodes_limit: MAX_NODES, ..roxmltree::ParsingOptions::default() };
    roxmltree::Document::parse_with_options(text, options).ok()
}
