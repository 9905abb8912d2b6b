//! Writes a file the user asked for: for its owner alone, and over another one only when that was asked for too.
use std::fs::{OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The path somebody typed: `~/` is the home folder.
pub fn path(typed: &str) -> PathBuf {
    match (typed.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(typed),
    }
}

/// Writes `content` to a file of mode 0600.
///
/// - `overwrite`: a file of this name is replaced.
///
/// # Errors
/// A sentence that names the path, what is wrong and the way out.
pub fn save(path: &Path, content: &[u8], overwrite: bool) -> Result<(), String> {
    let name = path.display();
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if overwrite {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{name} exists already: choose another name, or add ! to replace it"),
        ErrorKind::NotFound => format!("{name}: there is no such folder"),
        ErrorKind::PermissionDenied => format!("{name}: you may not write there"),
        ErrorKind::IsADirectory => format!("{name} is a folder: name a file in it"),
        _ => format!("{name} cannot be written: {error}"),
    })?;
    let written = file.set_permissions(Permissions::from_mode(0o600)).and_then(|()| file.write_all(content));
    written.map_err(|error| format!("{name} cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_replaced_unasked_and_nobody_else_may_read() {
        let folder = std::env::temp_dir().join(format!("offhook-saving-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("call.txt");
        let refused = |path: &Path| save(path, b"x", false).expect_err("refused");
        assert!(save(&folder, b"x", true).expect_err("a folder").contains("is a folder"));
        assert!(refused(&folder.join("none/call.txt")).contains("no such folder"));
        save(&file, b"first", false).expect("written");
        assert!(refused(&file).contains("exists already"));
        assert_eq!(std::fs::read(&file).expect("there"), b"first");
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("changed");
        save(&file, b"2", true).expect("written");
        assert_eq!(std::fs::read(&file).expect("there"), b"2");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        std::fs::remove_dir_all(&folder).expect("cleaned up");
    }
}
