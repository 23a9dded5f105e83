//! `start --config FILE`: the same flags, in TOML. What the command line says stands before what the file says.
//!
//! ```toml
//! demo-user = true
//! gateway-port = 8787
//! budget = ["session=20000", "project=5usd"]
//! ```

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};

/// The file's settings as arguments.
pub(crate) fn arguments(file: &Path) -> Result<Vec<OsString>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--config: cannot read {}", file.display()))?;
    read(&text).with_context(|| format!("--config: {}", file.display()))
}

fn read(text: &str) -> Result<Vec<OsString>> {
    let table: Table = text.parse().context("this is not TOML")?;
    let mut arguments = Vec::new();
    for (name, value) in table {
        if name == "config" {
            bail!("a file cannot name another file");
        }
        let values = match value {
            Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            let flag = format!("--{name}");
            match value {
                Value::Boolean(true) => arguments.push(flag.into()),
                Value::Boolean(false) => {}
                Value::String(text) => arguments.push(format!("{flag}={text}").into()),
                Value::Integer(number) => arguments.push(format!("{flag}={number}").into()),
                _ => bail!("{name} must be a text, a whole number, true or false, or a list of them"),
            }
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_file_says_what_flags_say() {
        let text = "demo-user = true\nexpose = false\ngateway-port = 0\nbudget = [\"session=1\", \"user=2\"]";
        let mut arguments = read(text).unwrap();
        arguments.sort();
        assert_eq!(arguments, ["--budget=session=1", "--budget=user=2", "--demo-user", "--gateway-port=0"]);
        for (bad, why) in [("a", "not TOML"), ("a = 1.5", "must be a text"), ("config = \"x\"", "another file")] {
            let error = format!("{:#}", read(bad).unwrap_err());
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
