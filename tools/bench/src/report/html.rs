//! The small parts of a page: escaped text and tables.

/// Text that stands for itself in HTML, also in an attribute.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    class: &'static str,
}

impl Cell {
    pub(crate) fn text(text: impl AsRef<str>) -> Cell {
        Cell::of(text, "")
    }

    pub(crate) fn number(text: impl AsRef<str>) -> Cell {
        Cell::of(text, "n")
    }

    /// A cell of this class of the style sheet.
    pub(crate) fn of(text: impl AsRef<str>, class: &'static str) -> Cell {
        Cell {
            text: escaped(text.as_ref()),
            class,
        }
    }

    fn html(&self, tag: &str, scope: &str) -> String {
        let class = match self.class {
            "" => String::new(),
            class => format!(" class=\"{class}\""),
        };
        let name = tag.split(' ').next().unwrap_or(tag);
        format!("<{tag}{scope}{class}>{}</{name}>", self.text)
    }
}

/// A table; the first cell of each row is its heading.
pub(crate) fn table(
    caption: &str,
    head: &[Cell],
    rows: impl IntoIterator<Item = Vec<Cell>>,
) -> String {
    let head: String = head
        .iter()
        .map(|cell| cell.html("th", " scope=\"col\""))
        .collect();
    let row = |cells: Vec<Cell>| {
        let cells = cells.iter().enumerate().map(|(place, cell)| match place {
            0 => cell.html("th", " scope=\"row\""),
            _ => cell.html("td", ""),
        });
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let rows: String = rows.into_iter().map(row).collect();
    format!(
        "<div class=\"wide\"><table><caption>{}</caption><thead><tr>{head}</tr></thead>\
         <tbody>{rows}</tbody></table></div>\n",
        escaped(caption)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
        let html = table("<c>", &[Cell::text("<h>")], [vec![Cell::of("<r>", "n")]]);
        assert!(!html.contains("<c>") && !html.contains("<h>") && !html.contains("<r>"));
        assert!(
            html.contains("<th scope=\"row\" class=\"n\">&lt;r&gt;</th>"),
            "{html}"
        );
    }
}
