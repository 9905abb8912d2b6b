//! The name of this phone among all phones (RFC 5626 §4.1): made once per machine and kept, so that a registrar knows a
//! restarted phone again and puts its binding in the place of the old one.
use crate::base::rng::Rng;
use crate::config::Environment;
use crate::runtime::journal::Journal;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What begins every name.
const SCHEME: &str = "urn:uuid:";
/// A longer file is none of ours.
const LONGEST: u64 = 100;

/// The name of this run. Held as long as the phone runs: a second one at the same time has another name, since the
/// registrar would take it for the first.
pub struct Instance {
    pub urn: String,
    _held: Option<File>,
}

impl Instance {
    /// Reads the name, or makes and keeps it. Where nothing can be kept it is a new one for this run.
    pub fn of(environment: &Environment, rng: &mut Rng, journal: &Journal) -> Self {
        let kept = environment.instance_file().map(|path| keep(&path, rng).map_err(|error| (path, error)));
        match kept {
            Some(Ok((urn, file))) => Self { urn, _held: Some(file) },
            Some(Err((path, error))) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    journal.line(format!("{}: {error}; this phone has a new name for each run", path.display()));
                }
                Self { urn: random(rng), _held: None }
            }
            None => Self { urn: random(rng), _held: None },
        }
    }
}

fn keep(path: &Path, rng: &mut Rng) -> io::Result<(String, File)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.try_lock()?;
    let mut text = String::new();
    // What is not text is not a name either.
    let _ = (&file).take(LONGEST).read_to_string(&mut text);
    let text = text.trim();
    if is_name(text) {
        return Ok((text.to_owned(), file));
    }
    let urn = random(rng);
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{urn}")?;
    Ok((urn, file))
}

fn is_name(text: &str) -> bool {
    let groups = text.strip_prefix(SCHEME).map(|uuid| uuid.split('-').collect::<Vec<_>>()).unwrap_or_default();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
}

/// A random UUID (RFC 9562 §5.4).
fn random(rng: &mut Rng) -> String {
    let variant = ["8", "9", "a", "b"][(rng.u32() >> 30) as usize];
    let (a, b, c, d, e) = (rng.hex(8), rng.hex(4), rng.hex(3), rng.hex(3), rng.hex(12));
    format!("{SCHEME}{a}-{b}-4{c}-{variant}{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("offhook-instance-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_name_stays_and_two_phones_at_once_have_two() {
        let (folder, mut rng) = (folder("kept"), Rng::from_u64(1));
        let path = folder.join("offhook").join("instance");
        let (first, held) = keep(&path, &mut rng).expect("kept");
        assert!(is_name(&first), "{first}");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(keep(&path, &mut rng).expect_err("held").kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert_eq!(keep(&path, &mut rng).expect("kept").0, first);
        // What is no name is replaced by one.
        fs::write(&path, "urn:uuid:\u{fffd} and a lot more than a name could ever be, so that it has to be cut")
            .expect("written");
        let second = keep(&path, &mut rng).expect("kept").0;
        assert_ne!(second, first);
        assert_eq!(keep(&path, &mut rng).expect("kept").0, second);
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn where_nothing_can_be_kept_there_is_still_a_name() {
        let folder = folder("file");
        fs::write(&folder, "not a folder").expect("written");
        assert!(keep(&folder.join("instance"), &mut Rng::from_u64(1)).is_err());
        let _ = fs::remove_file(folder);
        for bad in
            ["", "urn:uuid:", "urn:uuid:0C67446E-f1a1-11d9-94d3-000a95a0e128", "0c67446e-f1a1-11d9-94d3-000a95a0e128"]
        {
            assert!(!is_name(bad), "{bad}");
        }
        let (a, b) = (random(&mut Rng::from_u64(1)), random(&mut Rng::from_u64(2)));
        assert!(is_name(&a) && is_name(&b) && a != b, "{a} {b}");
    }
}
