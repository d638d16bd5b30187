//! Functions of our own, beside those of VRL: what Livebook writes, read and written by the code of the transforms.

mod inspect;
mod legacy;

use vrl::compiler::Function;

/// All of them.
pub(super) fn all() -> Vec<Box<dyn Function>> {
    vec![
        Box::new(legacy::ParseLivebookLegacy),
        Box::new(inspect::ParseElixirInspect),
        Box::new(inspect::ToElixirInspect),
    ]
}
