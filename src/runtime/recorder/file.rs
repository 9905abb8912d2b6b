//! One recording on the disk.
use super::name::file_name;
use crate::audio::stereo::StereoWriter;
use crate::media::spec::Recording;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Names that are tried when the first is taken.
const TRIES: u32 = 100;

pub struct RecordingFile {
    path: PathBuf,
    pub sound: StereoWriter,
}

impl RecordingFile {
    /// A new file in `folder`, which is made where there is none, for the user alone to read.
    pub fn create(folder: &Path, recording: &Recording) -> io::Result<Self> {
        let named =
            |error: io::Error, path: &Path| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| named(error, folder))?;
        let (path, file) = create(folder, recording).map_err(|error| named(error, folder))?;
        Ok(Self { path, sound: StereoWriter::new(file)? })
    }

    pub fn path(&self) -> String {
        self.path.display().to_string()
    }
}

/// Never a file that is there already, and never through a link.
fn create(folder: &Path, recording: &Recording) -> io::Result<(PathBuf, File)> {
    let at = SystemTime::now();
    for number in 0..TRIES {
        let path = folder.join(file_name(recording, at, number));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many recordings have this name"))
}
