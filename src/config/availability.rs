//! What an account tells of itself, and whom; where its mailbox is heard.
use super::handling::{code, targets};
use super::reader::{Reader, Section};
use crate::ua::availability::Availability;

pub(super) fn read<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>) -> Availability {
    Availability {
        publish: reader.boolean(section, "publish").unwrap_or_default(),
        watchers: reader.list(section, "watchers", targets).unwrap_or_default(),
        mailbox_number: reader.read(section, "mailbox_number", code).unwrap_or_default(),
    }
}
