//! Where files are, by the XDG base directories, and the environment variables that are obeyed.
use super::ConfigError;
use crate::base::secret::Secret;
use std::path::{Path, PathBuf};

/// The part of the process environment that matters here.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `OFFHOOK_CONFIG`
    pub config: Option<PathBuf>,
    /// `OFFHOOK_PASSWORD`: of an account given as an address.
    pub password: Option<Secret>,
    pub home: Option<PathBuf>,
    pub xdg_config_home: Option<PathBuf>,
    pub xdg_data_home: Option<PathBuf>,
    pub xdg_state_home: Option<PathBuf>,
}

/// A file the phone writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChoice {
    /// Where the XDG base directories say.
    Auto,
    /// Nowhere.
    None,
    Path(PathBuf),
}

impl Environment {
    pub fn from_process() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        // The XDG specification: a relative path is to be ignored.
        let xdg = |name: &str| path(name).filter(|p| p.is_absolute());
        Self {
            config: path("OFFHOOK_CONFIG"),
            password: std::env::var("OFFHOOK_PASSWORD").ok().filter(|p| !p.is_empty()).map(Secret::new),
            home: path("HOME"),
            xdg_config_home: xdg("XDG_CONFIG_HOME"),
            xdg_data_home: xdg("XDG_DATA_HOME"),
            xdg_state_home: xdg("XDG_STATE_HOME"),
        }
    }

    /// The configuration file, and whether it was named so that its absence is a mistake.
    pub fn config_file(&self, named: Option<&Path>) -> Result<(PathBuf, bool), ConfigError> {
        if let Some(path) = named.or(self.config.as_deref()) {
            return Ok((self.expand(path), true));
        }
        let home = self.below(self.xdg_config_home.as_ref(), ".config").ok_or(ConfigError::NoHome)?;
        Ok((home.join("offhook").join("config.toml"), false))
    }

    /// Where the call history goes, if anywhere.
    pub fn history_file(&self, choice: &FileChoice) -> Option<PathBuf> {
        self.chosen(choice, self.xdg_data_home.as_ref(), ".local/share", "history.sqlite")
    }

    /// Where the contacts are, if anywhere: beside the configuration.
    pub fn contacts_file(&self, choice: &FileChoice, configuration: Option<&Path>) -> Option<PathBuf> {
        match choice {
            FileChoice::None => None,
            FileChoice::Path(path) => Some(self.expand(path)),
            FileChoice::Auto => Some(configuration?.parent()?.join("contacts.toml")),
        }
    }

    /// Where the log goes, if anywhere.
    pub fn log_file(&self, choice: &FileChoice) -> Option<PathBuf> {
        self.chosen(choice, self.xdg_state_home.as_ref(), ".local/state", "offhook.log")
    }

    /// Where recordings go, if anywhere.
    pub fn recordings_folder(&self, choice: &FileChoice) -> Option<PathBuf> {
        self.chosen(choice, self.xdg_data_home.as_ref(), ".local/share", "recordings")
    }

    /// Where the name of this phone is kept, if there is a place for such things.
    pub fn instance_file(&self) -> Option<PathBuf> {
        self.chosen(&FileChoice::Auto, self.xdg_state_home.as_ref(), ".local/state", "instance")
    }

    /// Where the certificate the embedded proxy makes for itself is kept, if there is a place for such things.
    pub fn proxy_certificate_file(&self) -> Option<PathBuf> {
        self.chosen(&FileChoice::Auto, self.xdg_state_home.as_ref(), ".local/state", "proxy.pem")
    }

    /// Where is kept what the user switched while the phone ran.
    pub fn handling_file(&self) -> Option<PathBuf> {
        self.chosen(&FileChoice::Auto, self.xdg_state_home.as_ref(), ".local/state", "switched.json")
    }

    fn chosen(&self, choice: &FileChoice, xdg: Option<&PathBuf>, fallback: &str, name: &str) -> Option<PathBuf> {
        match choice {
            FileChoice::None => None,
            FileChoice::Path(path) => Some(self.expand(path)),
            FileChoice::Auto => Some(self.below(xdg, fallback)?.join("offhook").join(name)),
        }
    }

    fn below(&self, xdg: Option<&PathBuf>, fallback: &str) -> Option<PathBuf> {
        xdg.cloned().or_else(|| self.home.as_ref().map(|home| home.join(fallback)))
    }

    /// `~/` is the home directory, as in a shell.
    pub(super) fn expand(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            (Ok(_) | Err(_), _) => path.to_owned(),
        }
    }
}

/// A warning if others than the owner may read the file.
#[cfg(unix)]
pub(super) fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let path = path.display();
    (mode & 0o077 != 0)
        .then(|| format!("{path} holds a password, and others may read it (mode {mode:04o}): chmod 600 {path}"))
}

#[cfg(not(unix))]
pub(super) fn readable_by_others(_: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_comes_before_the_environment_and_that_before_xdg() {
        let bare = Environment::default();
        assert!(matches!(bare.config_file(None), Err(ConfigError::NoHome)));
        let home = Environment { home: Some("/home/a".into()), ..bare };
        let found = |env: &Environment, named: Option<&str>| env.config_file(named.map(Path::new)).unwrap();
        assert_eq!(found(&home, None), ("/home/a/.config/offhook/config.toml".into(), false));
        let xdg = Environment { xdg_config_home: Some("/x".into()), ..home };
        assert_eq!(found(&xdg, None), ("/x/offhook/config.toml".into(), false));
        let variable = Environment { config: Some("/v.toml".into()), ..xdg };
        assert_eq!(found(&variable, None), ("/v.toml".into(), true));
        assert_eq!(found(&variable, Some("~/n.toml")), ("/home/a/n.toml".into(), true));
    }

    #[test]
    fn files_are_where_xdg_says_unless_told_otherwise() {
        let home = Environment { home: Some("/home/a".into()), ..Environment::default() };
        let (history, log) = (home.history_file(&FileChoice::Auto), home.log_file(&FileChoice::Auto));
        assert_eq!(history, Some("/home/a/.local/share/offhook/history.sqlite".into()));
        assert_eq!(log, Some("/home/a/.local/state/offhook/offhook.log".into()));
        assert_eq!(home.log_file(&FileChoice::None), None);
        assert_eq!(home.log_file(&FileChoice::Path("~/x.log".into())), Some("/home/a/x.log".into()));
        assert_eq!(Environment::default().log_file(&FileChoice::Auto), None);
    }
}
