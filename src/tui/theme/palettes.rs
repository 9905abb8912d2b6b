//! The inks of each theme: as 24 bits and as one of the 16 colours of every terminal.
use ratatui::style::Color;

/// One colour. An ink whose `ansi` is `Reset` is the terminal's own, at every depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ink {
    rgb: u32,
    pub ansi: Color,
}

impl Ink {
    const fn new(rgb: u32, ansi: Color) -> Self {
        Self { rgb, ansi }
    }

    pub fn red(self) -> u8 {
        (self.rgb >> 16) as u8
    }

    pub fn green(self) -> u8 {
        (self.rgb >> 8) as u8
    }

    pub fn blue(self) -> u8 {
        self.rgb as u8
    }

    /// The nearest of the 6x6x6 cube and the grey ramp of the 256 colours.
    pub fn indexed(self) -> u8 {
        const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
        let nearest = |v: u8| (0..6_u8).min_by_key(|i| v.abs_diff(STEPS[usize::from(*i)])).unwrap_or(0);
        let (r, g, b) = (self.red(), self.green(), self.blue());
        let cube = [nearest(r), nearest(g), nearest(b)];
        let distance = |x: [u8; 3]| [r, g, b].iter().zip(x).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>();
        let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
        let grey = u8::try_from(mean.saturating_sub(3) / 10).unwrap_or(23).min(23);
        let level = 8 + 10 * grey;
        let [x, y, z] = cube.map(|i| STEPS[usize::from(i)]);
        if distance([level; 3]) < distance([x, y, z]) { 232 + grey } else { 16 + 36 * cube[0] + 6 * cube[1] + cube[2] }
    }
}

#[derive(Debug)]
pub struct Palette {
    pub name: &'static str,
    pub text: Ink,
    pub dim: Ink,
    pub faint: Ink,
    pub accent: Ink,
    /// Text on the accent colour.
    pub on_accent: Ink,
    pub selection: Ink,
    pub graph: Ink,
    pub good: Ink,
    pub fair: Ink,
    pub poor: Ink,
}

pub const DARK: Palette = Palette {
    name: "dark",
    text: Ink::new(0xd8dce6, Color::Reset),
    dim: Ink::new(0x8d95a8, Color::Gray),
    faint: Ink::new(0x545c72, Color::DarkGray),
    accent: Ink::new(0x7fb0ff, Color::LightBlue),
    on_accent: Ink::new(0x0d1220, Color::Black),
    selection: Ink::new(0x262d3f, Color::Black),
    graph: Ink::new(0x4a6cab, Color::Blue),
    good: Ink::new(0x8fd18a, Color::Green),
    fair: Ink::new(0xe6b450, Color::Yellow),
    poor: Ink::new(0xff6b7d, Color::LightRed),
};

pub const LIGHT: Palette = Palette {
    name: "light",
    text: Ink::new(0x1f2430, Color::Reset),
    dim: Ink::new(0x5c6475, Color::DarkGray),
    faint: Ink::new(0xb4bac8, Color::Gray),
    accent: Ink::new(0x1d5fd1, Color::Blue),
    on_accent: Ink::new(0xffffff, Color::White),
    selection: Ink::new(0xdde6f7, Color::White),
    graph: Ink::new(0x86abe6, Color::Blue),
    good: Ink::new(0x1e7d32, Color::Green),
    fair: Ink::new(0x9a5b00, Color::Yellow),
    poor: Ink::new(0xc4162a, Color::Red),
};

pub const HIGH_CONTRAST: Palette = Palette {
    name: "high-contrast",
    text: Ink::new(0xffffff, Color::White),
    dim: Ink::new(0xe4e4e4, Color::White),
    faint: Ink::new(0xa8a8a8, Color::Gray),
    accent: Ink::new(0x00ffff, Color::LightCyan),
    on_accent: Ink::new(0x000000, Color::Black),
    selection: Ink::new(0x0000af, Color::Blue),
    graph: Ink::new(0x0087ff, Color::LightBlue),
    good: Ink::new(0x00ff5f, Color::LightGreen),
    fair: Ink::new(0xffd700, Color::LightYellow),
    poor: Ink::new(0xff5f5f, Color::LightRed),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_the_256_colours() {
        for (rgb, index) in [(0x000000, 16), (0xffffff, 231), (0xff0000, 196), (0x808080, 244), (0x5f87d7, 68)] {
            assert_eq!(Ink::new(rgb, Color::Reset).indexed(), index, "{rgb:06x}");
        }
    }

    /// Contrast of text by WCAG 2 on a black or white ground.
    #[test]
    fn inks_can_be_read_on_their_ground() {
        let channel = |v: u8| {
            let s = f64::from(v) / 255.0;
            if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
        };
        let light = |i: Ink| 0.2126 * channel(i.red()) + 0.7152 * channel(i.green()) + 0.0722 * channel(i.blue());
        let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        for (palette, ground) in [(&DARK, 0x12151c), (&LIGHT, 0xffffff), (&HIGH_CONTRAST, 0x000000)] {
            let ground = light(Ink::new(ground, Color::Reset));
            for ink in [palette.text, palette.dim, palette.accent, palette.good, palette.fair, palette.poor] {
                assert!(contrast(light(ink), ground) >= 4.5, "{} {ink:?}", palette.name);
            }
            assert!(contrast(light(palette.on_accent), light(palette.accent)) >= 4.5, "{}", palette.name);
        }
    }
}
