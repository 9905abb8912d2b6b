//! The signs of the screen, and what stands for them where a terminal has only ASCII.

/// One set of signs. Every sign is one column wide.
#[derive(Debug, PartialEq)]
pub struct Glyphs {
    pub unicode: bool,
    /// Top left, top right, bottom left, bottom right, horizontal, vertical.
    pub frame: [char; 6],
    /// Where a line inside a frame meets it on the left and the right.
    pub tees: [char; 2],
    /// Columns of a graph, from almost nothing to full.
    pub bars: [char; 8],
    /// A moment that was not measured.
    pub gap: char,
    pub meter_on: char,
    pub meter_off: char,
    /// Registered, good, talked on.
    pub good: char,
    /// On the way, fair.
    pub fair: char,
    /// Failed, poor.
    pub poor: char,
    /// Off, unknown.
    pub unknown: char,
    pub cursor: char,
    pub outgoing: char,
    pub incoming: char,
    /// Heads and shaft of the arrows of the message ladder.
    pub arrow_left: char,
    pub arrow_right: char,
    pub shaft: char,
    pub dot: char,
    pub dash: char,
    pub ellipsis: char,
    pub prompt: char,
    pub times: char,
    /// Nobody on the way can read or change what is said.
    pub lock: char,
    /// New messages in a mailbox.
    pub mail: char,
}

pub const UNICODE: Glyphs = Glyphs {
    unicode: true,
    frame: ['╭', '╮', '╰', '╯', '─', '│'],
    tees: ['├', '┤'],
    bars: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    gap: ' ',
    meter_on: '━',
    meter_off: '─',
    good: '●',
    fair: '◐',
    poor: '✕',
    unknown: '○',
    cursor: '▸',
    outgoing: '↗',
    incoming: '↙',
    arrow_left: '◀',
    arrow_right: '▶',
    shaft: '─',
    dot: '·',
    dash: '–',
    ellipsis: '…',
    prompt: '▸',
    times: '×',
    lock: '⚿',
    mail: '✉',
};

pub const ASCII: Glyphs = Glyphs {
    unicode: false,
    frame: ['+', '+', '+', '+', '-', '|'],
    tees: ['+', '+'],
    bars: ['_', '.', ':', '-', '=', '+', '*', '#'],
    gap: ' ',
    meter_on: '=',
    meter_off: '.',
    good: '*',
    fair: '~',
    poor: 'x',
    unknown: 'o',
    cursor: '>',
    outgoing: '>',
    incoming: '<',
    arrow_left: '<',
    arrow_right: '>',
    shaft: '-',
    dot: '-',
    dash: '-',
    ellipsis: '~',
    prompt: '>',
    times: 'x',
    lock: '#',
    mail: '@',
};

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthChar;

    #[test]
    fn every_sign_is_one_column_wide_and_ascii_is_ascii() {
        for set in [&UNICODE, &ASCII] {
            let mut all: Vec<char> = set.frame.into_iter().chain(set.tees).chain(set.bars).collect();
            all.extend([set.gap, set.meter_on, set.meter_off, set.good, set.fair, set.poor, set.unknown, set.cursor]);
            all.extend([set.outgoing, set.incoming, set.arrow_left, set.arrow_right, set.shaft, set.dot, set.dash]);
            all.extend([set.ellipsis, set.prompt, set.times, set.lock, set.mail]);
            for sign in all {
                assert_eq!(sign.width(), Some(1), "{sign}");
                assert!(set.unicode || sign.is_ascii(), "{sign}");
            }
        }
    }
}
