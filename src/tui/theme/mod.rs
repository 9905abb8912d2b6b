//! Named roles of everything on the screen, and how each theme shows them.
//!
//! One accent colour. Green, amber and red belong to states and quality alone, and a sign or a word says the same
//! thing beside them.
mod glyphs;
mod palettes;

pub use glyphs::{ASCII, Glyphs, UNICODE};
use palettes::Palette;
use ratatui::style::{Color, Modifier, Style};

/// What a piece of the screen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Text,
    /// Text that is needed less often.
    Dim,
    /// Lines and fillings.
    Faint,
    /// Who is talked with; headings.
    Strong,
    /// The one accent: where the user is, what can be pressed.
    Accent,
    /// Names of figures.
    Label,
    Good,
    Fair,
    Poor,
    /// Not measured, not known.
    Unknown,
    /// A figure older than its report interval.
    Stale,
    /// The chosen row of a list.
    Selected,
    /// The frame and title of the list the cursor is in.
    Focus,
    /// Time lines and meters as long as nothing is wrong.
    Graph,
    GraphEmpty,
    /// The filled band of an incoming call.
    Band,
    BandStrong,
    BandKey,
    /// A key and what it does, on the key bar.
    Key,
    KeyLabel,
    Input,
    Suggestion,
    /// Messages we sent and received.
    Sent,
    Received,
    /// What was looked for.
    Match,
    /// Identifiers of a message: made by this phone, and by others.
    Ours,
    Theirs,
}

impl Role {
    pub const ALL: [Self; 27] = [
        Self::Text,
        Self::Dim,
        Self::Faint,
        Self::Strong,
        Self::Accent,
        Self::Label,
        Self::Good,
        Self::Fair,
        Self::Poor,
        Self::Unknown,
        Self::Stale,
        Self::Selected,
        Self::Focus,
        Self::Graph,
        Self::GraphEmpty,
        Self::Band,
        Self::BandStrong,
        Self::BandKey,
        Self::Key,
        Self::KeyLabel,
        Self::Input,
        Self::Suggestion,
        Self::Sent,
        Self::Received,
        Self::Match,
        Self::Ours,
        Self::Theirs,
    ];
}

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 24 bits.
    True,
    /// The 256 colours of xterm.
    Indexed,
    /// The 16 colours the user gave their terminal.
    Ansi,
}

/// A style for every role.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    pub name: &'static str,
    styles: [Style; Role::ALL.len()],
}

impl Theme {
    /// The names that can be chosen.
    pub const NAMES: [&'static str; 4] = ["dark", "light", "high-contrast", "mono"];

    pub fn by_name(name: &str, depth: Depth) -> Option<Self> {
        let palette = match name {
            "dark" => &palettes::DARK,
            "light" => &palettes::LIGHT,
            "high-contrast" => &palettes::HIGH_CONTRAST,
            "mono" => return Some(Self::mono()),
            _ => return None,
        };
        Some(Self::coloured(palette, depth))
    }

    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// A style takes off what another role put on its cells before, but for the marks of a chosen row.
    fn of(name: &'static str, style: impl Fn(Role) -> Style) -> Self {
        let passing = Modifier::DIM | Modifier::ITALIC | Modifier::UNDERLINED;
        let whole = |role| {
            let style = style(role);
            style.remove_modifier(passing.difference(style.add_modifier))
        };
        Self { name, styles: Role::ALL.map(whole) }
    }

    fn coloured(palette: &Palette, depth: Depth) -> Self {
        let fg = |ink: palettes::Ink| Style::new().fg(ink.color(depth));
        let on = |ink: palettes::Ink, ground: palettes::Ink| fg(ink).bg(ground.color(depth));
        Self::of(palette.name, |role| match role {
            Role::Text | Role::Input => Style::new().fg(palette.text.color(depth)),
            Role::Dim | Role::Label | Role::KeyLabel | Role::Unknown => fg(palette.dim),
            Role::Stale => fg(palette.dim).add_modifier(Modifier::ITALIC),
            Role::Faint | Role::GraphEmpty | Role::Suggestion => fg(palette.faint),
            Role::Strong => fg(palette.text).add_modifier(Modifier::BOLD),
            Role::Accent | Role::Key | Role::Focus => fg(palette.accent).add_modifier(Modifier::BOLD),
            Role::Good => fg(palette.good),
            Role::Fair => fg(palette.fair),
            Role::Poor => fg(palette.poor).add_modifier(Modifier::BOLD),
            Role::Selected => Style::new().bg(palette.selection.color(depth)).add_modifier(Modifier::BOLD),
            Role::Graph => fg(palette.graph),
            Role::Band => on(palette.on_accent, palette.accent),
            Role::BandStrong => on(palette.on_accent, palette.accent).add_modifier(Modifier::BOLD),
            Role::BandKey => on(palette.accent, palette.on_accent).add_modifier(Modifier::BOLD),
            Role::Sent => fg(palette.accent),
            Role::Received => fg(palette.text),
            Role::Match => on(palette.on_accent, palette.accent).add_modifier(Modifier::BOLD),
            Role::Ours => fg(palette.accent),
            Role::Theirs => fg(palette.graph),
        })
    }

    /// No colour at all: NO_COLOR, and terminals of one colour.
    fn mono() -> Self {
        let with = |modifier| Style::new().add_modifier(modifier);
        Self::of("mono", |role| match role {
            Role::Text | Role::Label | Role::KeyLabel | Role::Input | Role::Good => Style::new(),
            Role::Dim | Role::Faint | Role::Graph | Role::GraphEmpty | Role::Unknown | Role::Suggestion => {
                with(Modifier::DIM)
            }
            Role::Stale => with(Modifier::DIM | Modifier::ITALIC),
            Role::Strong | Role::Accent | Role::Fair | Role::Poor | Role::Key | Role::Sent => with(Modifier::BOLD),
            Role::Focus => with(Modifier::BOLD | Modifier::UNDERLINED),
            Role::Received => Style::new(),
            Role::Match => with(Modifier::REVERSED | Modifier::BOLD),
            Role::Ours => with(Modifier::BOLD),
            Role::Theirs => with(Modifier::UNDERLINED),
            Role::Selected | Role::Band => with(Modifier::REVERSED),
            Role::BandStrong => with(Modifier::REVERSED | Modifier::BOLD),
            Role::BandKey => with(Modifier::BOLD),
        })
    }

    /// A theme in which every role has a colour of its own, to see in tests where a role went.
    #[cfg(test)]
    pub fn roles() -> Self {
        Self::of("roles", |role| {
            let color = Color::Indexed(role as u8);
            if role == Role::Selected { Style::new().bg(color) } else { Style::new().fg(color) }
        })
    }
}

impl palettes::Ink {
    fn color(self, depth: Depth) -> Color {
        match depth {
            Depth::True if self.ansi == Color::Reset => Color::Reset,
            Depth::Indexed if self.ansi == Color::Reset => Color::Reset,
            Depth::True => Color::Rgb(self.red(), self.green(), self.blue()),
            Depth::Indexed => Color::Indexed(self.indexed()),
            Depth::Ansi => self.ansi,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_its_own_place() {
        for (index, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, index, "{role:?}");
        }
    }

    #[test]
    fn every_name_is_a_theme_and_mono_has_no_colour() {
        assert_eq!(Theme::by_name("pink", Depth::True), None);
        for name in Theme::NAMES {
            assert_eq!(Theme::by_name(name, Depth::Ansi).expect("a theme").name, name);
        }
        let mono = Theme::by_name("mono", Depth::True).expect("a theme");
        for role in Role::ALL {
            assert_eq!((mono.style(role).fg, mono.style(role).bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn sixteen_colours_use_only_those_of_the_terminal() {
        for name in Theme::NAMES {
            let theme = Theme::by_name(name, Depth::Ansi).expect("a theme");
            for role in Role::ALL {
                let style = theme.style(role);
                let plain = |c: Option<Color>| !matches!(c, Some(Color::Rgb(..) | Color::Indexed(_)));
                assert!(plain(style.fg) && plain(style.bg), "{name} {role:?}");
            }
        }
    }
}
