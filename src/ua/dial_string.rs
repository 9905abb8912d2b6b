//! Dial strings: whom to call, and the digits that follow the answer.
//!
//! ```text
//! 1003,,12#      call 1003, wait two seconds, send 12#      (`p` is the same as `,`)
//! 1003;12#       call 1003, send 12# when the user says so   (`w` is the same as `;`)
//! ```

/// The signs that wait a second.
pub fn is_pause(c: char) -> bool {
    matches!(c, ',' | 'p' | 'P')
}

/// The signs that wait for the user.
pub fn is_wait(c: char) -> bool {
    matches!(c, ';' | 'w' | 'W')
}

/// A digit, or a sign that waits.
pub fn is_dialled(c: char) -> bool {
    c.is_ascii_digit() || matches!(c.to_ascii_uppercase(), '*' | '#' | 'A'..='D' | '!') || is_pause(c) || is_wait(c)
}

/// Parts what was typed into whom to call and what to send then. Only what begins with a number has such a part: the
/// parameters of `sip:` addresses and the letters of names are left alone.
pub fn split(typed: &str) -> (&str, &str) {
    let whole = (typed, "");
    let typed = typed.trim();
    let is_sign = |c: char| if typed.contains('@') { c == ',' } else { is_pause(c) || is_wait(c) };
    let Some(at) = typed.find(is_sign) else { return whole };
    let (target, digits) = typed.split_at(at);
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '#' | ' ' | '-' | '(' | ')' | '.' | '/');
    let numbered = target.chars().any(|c| c.is_ascii_digit()) && target.chars().all(is_number);
    // A comma is in no address, so that it may also follow one.
    let addressed = target.contains('@') && !target.contains([':', '<', ';']);
    let dialled = digits.chars().all(|c| is_dialled(c) || c == ' ');
    if (numbered || addressed) && dialled { (target.trim_end(), digits) } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_followed_by_digits() {
        let rows = [
            ("phone2", "phone2", ""),
            ("wendy", "wendy", ""),
            ("1003", "1003", ""),
            ("", "", ""),
            (",12", ",12", ""),
            ("sip:1003@pbx;transport=tcp", "sip:1003@pbx;transport=tcp", ""),
            ("sip:1003;phone-context=x@pbx", "sip:1003;phone-context=x@pbx", ""),
            ("sip:1003@pbx,12", "sip:1003@pbx,12", ""),
            ("<sip:1003@pbx>;12", "<sip:1003@pbx>;12", ""),
            ("tel:1003;ext=12", "tel:1003;ext=12", ""),
            ("1003;ext=12", "1003;ext=12", ""),
            ("1003@pbx;12", "1003@pbx;12", ""),
            ("1003@pbx:5060,12", "1003@pbx:5060,12", ""),
            ("1003x,12", "1003x,12", ""),
            ("1003,,12#", "1003", ",,12#"),
            ("1003;12#", "1003", ";12#"),
            ("1003p12w#", "1003", "p12w#"),
            (" +420 (555) 12-34 , 9 ", "+420 (555) 12-34", ", 9"),
            ("*98,1*", "*98", ",1*"),
            ("1003@pbx.example,12", "1003@pbx.example", ",12"),
        ];
        for (typed, target, digits) in rows {
            assert_eq!(split(typed), (target, digits), "{typed:?}");
        }
    }
}
