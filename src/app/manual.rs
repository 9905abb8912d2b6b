//! `offhook man`: a manual page for the program and one for each command.
use clap::Command;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Writes the pages of `command` and all below it into `folder`, which is made if need be.
///
/// # Errors
/// Where the file system refuses.
pub fn write(command: Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let title = format!("{name}-{}", sub.get_name());
        write(sub.clone().display_name(title), folder)?;
    }
    let mut page = File::create(folder.join(format!("{name}.1")))?;
    clap_mangen::Man::new(command).render(&mut page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page_that_names_its_options() {
        let folder = std::env::temp_dir().join(format!("offhook-man-{}", std::process::id()));
        write(Cli::described(), &folder).expect("written");
        let page = |name: &str| fs::read_to_string(folder.join(name)).expect("a page");
        for command in Cli::described().get_subcommands().filter(|sub| sub.get_name() != "help") {
            assert!(page(&format!("offhook-{}.1", command.get_name())).contains("SYNOPSIS"), "{command}");
        }
        assert!(page("offhook-call.1").contains("transfer\\-to"));
        assert!(page("offhook-config-check.1").contains("mistake"));
        assert!(page("offhook.1").contains("NO_COLOR"), "files and environment stand in the first page");
        fs::remove_dir_all(folder).expect("removed");
    }
}
