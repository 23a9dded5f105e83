//! The generated part of a page, between two comments that no reader sees.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes `part` between the comments `<!-- name -->` and `<!-- /name -->` of a page.
pub(super) fn write(page: &Path, name: &str, part: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("could not read {}", page.display()))?;
    let new = replaced(&text, name, part).with_context(|| format!("{} has no part {name}", page.display()))?;
    if new != text {
        fs::write(page, new)?;
        println!("{} is written anew", page.display());
    }
    Ok(())
}

fn replaced(text: &str, name: &str, part: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&end)?;
    Some([&text[..from], part, &text[to..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_part_changes() {
        let text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- y -->\n<!-- /y -->\n";
        let new = replaced(text, "x", "new\n").unwrap();
        assert_eq!(new, text.replace("old", "new"));
        assert_eq!(replaced(&new, "x", "new\n").unwrap(), new);
        assert_eq!(replaced(text, "z", ""), None);
        assert_eq!(replaced("<!-- x -->\n", "x", ""), None);
    }
}
