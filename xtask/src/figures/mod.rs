//! Figures that the documentation is made of: what was measured or simulated, fitted, drawn and written where it is read.

pub(crate) mod growth;
mod page;
mod plot;
pub(crate) mod scale;
pub(crate) mod script;
