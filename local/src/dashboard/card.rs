//! A card with a table in it.

use maud::{Markup, html};

/// On narrow screens each cell carries its column's name.
pub(super) struct Card<'a> {
    pub(super) title: &'a str,
    /// Of the heading, for those who jump to it.
    pub(super) name: &'a str,
    pub(super) wide: bool,
    pub(super) columns: &'a [&'a str],
    /// What is said where there is no row.
    pub(super) empty: &'a str,
}

impl Card<'_> {
    pub(super) fn of(&self, rows: &[Vec<Markup>]) -> Markup {
        let Self { title, name, wide, columns, empty } = self;
        html! {
            section.card.wide[*wide] aria-labelledby=(name) {
                h3 id=(name) { (title) }
                @if rows.is_empty() {
                    p.muted.empty { (empty) }
                } @else {
                    table {
                        caption.visually-hidden { (title) }
                        thead { tr { @for name in *columns { th scope="col" { (name) } } } }
                        tbody {
                            @for row in rows {
                                tr { @for (name, cell) in columns.iter().zip(row) { td data-label=(name) { (cell) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}
