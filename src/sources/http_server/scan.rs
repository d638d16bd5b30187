//! Finds where a JSON value ends without reading it: brackets and strings, whatever else stands there.

/// A place in JSON text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Goes on to where a value in brackets ends, and gives the length up to there; none where it goes on behind
    /// `text`. A quote outside of brackets opens a string as well.
    pub fn value_len(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            at += 1;
            if self.escaped {
                self.escaped = false;
            } else if self.in_string {
                match byte {
                    b'"' => self.in_string = false,
                    b'\\' => self.escaped = true,
                    _ => {
                        let rest = text.get(at..).unwrap_or_default();
                        at += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    }
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Some(at);
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// Goes on up to a comma or a closing bracket that stands outside of everything; gives where that is.
    pub fn element_len(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            if self.is_outside() {
                match rest.first()? {
                    b',' | b']' => return Some(at),
                    // A stray brace closes nothing.
                    b'}' => at += 1,
                    b'"' | b'{' | b'[' => {
                        self.value_len(rest.get(..1).unwrap_or_default());
                        at += 1;
                    }
                    _ => at += 1,
                }
            } else if self.depth > 0 {
                at += self.value_len(rest)?;
            } else {
                // A string outside of brackets.
                self.value_len(rest.get(..1)?);
                at += 1;
            }
        }
    }

    fn is_outside(self) -> bool {
        self.depth == 0 && !self.in_string
    }

    /// Whether the text has ended within a string.
    pub fn is_in_string(self) -> bool {
        self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_ends_with_its_bracket() {
        for (text, expected) in [
            (r#"{"a":"}\"]"} x"#, Some(12)),
            (r#"[[1],[2]]]"#, Some(9)),
            (r#"{"a":1"#, None),
            (r#"{"a":"}"#, None),
            ("", None),
        ] {
            assert_eq!(Scan::default().value_len(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_element_ends_in_front_of_what_divides() {
        for (text, expected) in [
            (r#"{"a":[1,2]} , x"#, Some(12)),
            (r#"1]"#, Some(1)),
            (r#""a,b]\"",2"#, Some(8)),
            (r#"}{"a":","}]"#, Some(10)),
            (r#"[1,[2]],3"#, Some(7)),
            (r#"{"a":1"#, None),
            (",", Some(0)),
        ] {
            assert_eq!(Scan::default().element_len(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_text_comes(text in r#"[\[\]{}",\\a ]{0,40}"#, cut in 0usize..40) {
            let text = text.as_bytes();
            let cut = cut.min(text.len());
            let whole = (Scan::default().value_len(text), Scan::default().element_len(text));
            let (mut value, mut element) = (Scan::default(), Scan::default());
            let (front, back) = text.split_at(cut);
            let parts = (
                value.value_len(front).or_else(|| value.value_len(back).map(|len| cut + len)),
                element.element_len(front).or_else(|| element.element_len(back).map(|len| cut + len)),
            );
            prop_assert_eq!(whole, parts);
        }
    }
}
