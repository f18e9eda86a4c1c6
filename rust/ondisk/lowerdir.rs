// SPDX-License-Identifier: GPL-2.0

//! The grammar of the mount option `lowerdir`: `upper:middle:lowest::data1::data2`.
//!
//! A single `:` separates layers, the leftmost being the topmost. `::` starts a data-only layer,
//! after which only data-only layers may follow. A [backslash](crate::backslash) takes the special
//! meaning from the character after it.

use crate::backslash::{find_unescaped, unescape};
use crate::error::impl_fault;

/// The largest number of lower layers, those for data included (`OVL_MAX_STACK`).
pub const MAX_LAYERS: usize = 500;

/// What is wrong with a `lowerdir` option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowerdirError {
    /// The option starts with a colon.
    Append,
    /// Three or more colons in a row.
    ColonRun,
    /// The option ends with a colon.
    TrailingColon,
    /// The option ends with a backslash that escapes nothing.
    TrailingBackslash,
    /// More than [`MAX_LAYERS`] layers.
    TooMany,
    /// A `:` after a `::`.
    RegularAfterData,
}

impl_fault!(LowerdirError {
    Append => Inval, "cannot append lower layer: lowerdir must not start with ':'; \
        use lowerdir+ to add one";
    ColonRun => Inval, "only single ':' or double '::' sequences of unescaped colons in lowerdir \
        mount option allowed; write '\\:' for a colon in a path";
    TrailingColon => Inval, "unescaped trailing colons in lowerdir mount option; \
        remove them, or write '\\:' for a colon in a path";
    TrailingBackslash => Inval, "lowerdir mount option ends with a backslash that escapes nothing; \
        write '\\\\' for a backslash in a path";
    TooMany => Inval, "too many lower directories, limit is 500";
    RegularAfterData => Inval, "regular lower layers cannot follow data lower layers; \
        put those after '::' last";
});

/// One layer of a `lowerdir` option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer<'a> {
    /// The path with its escapes, as it was given. It is not empty.
    pub raw: &'a [u8],
    /// Whether the layer only holds data for files of the layers above.
    pub data_only: bool,
}

impl<'a> Layer<'a> {
    /// Writes the path without its escapes to `buf`, as [`unescape`] does.
    #[inline]
    pub fn unescape<'b>(&self, buf: &'b mut [u8]) -> Option<&'b [u8]> {
        unescape(self.raw, buf)
    }
}

/// A `lowerdir` option whose separators were checked.
#[derive(Clone, Copy, Debug)]
pub struct Lowerdir<'a> {
    option: &'a [u8],
    layers: usize,
}

impl<'a> Lowerdir<'a> {
    /// Checks the separators of the whole option. An empty option has no layers: it takes back
    /// those that were given before.
    ///
    /// That a regular layer follows a data-only one is found by [`Self::layers`], because the
    /// in-tree module resolves the paths before it first.
    pub fn parse(option: &'a [u8]) -> Result<Self, LowerdirError> {
        if option.first() == Some(&b':') {
            return Err(LowerdirError::Append);
        }

        let mut layers = usize::from(!option.is_empty());
        let mut colons = 0_usize;
        let mut rest = option.iter().peekable();
        while let Some(&byte) = rest.next() {
            match byte {
                b'\\' => {
                    rest.next().ok_or(LowerdirError::TrailingBackslash)?;
                    colons = 0;
                }
                b':' => {
                    let last = rest.peek() != Some(&&b':');
                    colons = colons.saturating_add(1);
                    if colons == 2 && !last {
                        return Err(LowerdirError::ColonRun);
                    }
                    layers = layers.saturating_add(usize::from(last));
                }
                _ => colons = 0,
            }
        }

        if colons != 0 {
            return Err(LowerdirError::TrailingColon);
        }
        if layers > MAX_LAYERS {
            return Err(LowerdirError::TooMany);
        }
        Ok(Self { option, layers })
    }

    /// Returns the number of layers, those for data included.
    pub fn len(&self) -> usize {
        self.layers
    }

    /// Returns whether the option was empty.
    pub fn is_empty(&self) -> bool {
        self.layers == 0
    }

    /// Returns the layers, topmost first. An error is the last item.
    pub fn layers(&self) -> Layers<'a> {
        Layers {
            next: match self.option {
                [] => Next::End,
                rest => Next::Layer {
                    rest,
                    data_only: false,
                },
            },
        }
    }
}

/// An iterator over the layers of a [`Lowerdir`].
#[derive(Clone, Debug)]
pub struct Layers<'a> {
    next: Next<'a>,
}

/// What comes next in a `lowerdir` option.
#[derive(Clone, Copy, Debug)]
enum Next<'a> {
    /// A layer, with all that follows it.
    Layer {
        rest: &'a [u8],
        data_only: bool,
    },
    /// A layer that must not be here.
    Error(LowerdirError),
    End,
}

impl<'a> Iterator for Layers<'a> {
    type Item = Result<Layer<'a>, LowerdirError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (rest, data_only) = match core::mem::replace(&mut self.next, Next::End) {
            Next::Layer { rest, data_only } => (rest, data_only),
            Next::Error(err) => return Some(Err(err)),
            Next::End => return None,
        };

        let raw = match find_unescaped(rest, b':').and_then(|at| rest.split_at_checked(at)) {
            None => rest,
            Some((raw, after)) => {
                self.next = if let Some(rest) = after.strip_prefix(b"::") {
                    Next::Layer {
                        rest,
                        data_only: true,
                    }
                } else if data_only {
                    Next::Error(LowerdirError::RegularAfterData)
                } else {
                    Next::Layer {
                        rest: after.strip_prefix(b":").unwrap_or_default(),
                        data_only: false,
                    }
                };
                raw
            }
        };
        Some(Ok(Layer { raw, data_only }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers as text: a data-only one has `::` before it, an error is its name.
    fn layers(option: &str) -> Vec<String> {
        let parsed = match Lowerdir::parse(option.as_bytes()) {
            Ok(parsed) => parsed,
            Err(err) => return vec![format!("{err:?}")],
        };
        let layers: Vec<_> = parsed
            .layers()
            .map(|layer| match layer {
                Ok(layer) => {
                    let mark = if layer.data_only { "::" } else { "" };
                    format!("{mark}{}", String::from_utf8_lossy(layer.raw))
                }
                Err(err) => format!("{err:?}"),
            })
            .collect();
        if !layers.iter().any(|layer| layer == "RegularAfterData") {
            assert_eq!(layers.len(), parsed.len(), "{option}");
        }
        layers
    }

    #[test]
    fn separators() {
        assert_eq!(layers(""), [""; 0]);
        assert_eq!(layers("/a"), ["/a"]);
        assert_eq!(layers("/a:b:/c"), ["/a", "b", "/c"]);
        assert_eq!(layers("/a:/b::/c::/d"), ["/a", "/b", "::/c", "::/d"]);
        assert_eq!(layers("/a::/b"), ["/a", "::/b"]);
    }

    #[test]
    fn escapes() {
        assert_eq!(layers(r"/a\:b:/c"), [r"/a\:b", "/c"]);
        assert_eq!(layers(r"/a\\:/c"), [r"/a\\", "/c"]);
        assert_eq!(layers(r"\:a"), [r"\:a"]);
        assert_eq!(layers(r"/a\:"), [r"/a\:"]);
        assert_eq!(layers(r"/a:\::/b"), ["/a", r"\:", "/b"]);
        assert_eq!(layers(r"/a::\:::/b"), ["/a", r"::\:", "::/b"]);

        let option = Lowerdir::parse(br"/a\:b\\").unwrap();
        let layer = option.layers().next().unwrap().unwrap();
        assert_eq!(layer.unescape(&mut [0; 7]), Some(br"/a:b\".as_slice()));
    }

    #[test]
    fn errors() {
        for option in [":", ":/a", "::/a"] {
            assert_eq!(layers(option), ["Append"], "{option}");
        }
        for option in ["/a:", "/a::", "/a::/b:", r"\\:"] {
            assert_eq!(layers(option), ["TrailingColon"], "{option}");
        }
        for option in ["/a:::/b", "/a:::", "/a::::/b"] {
            assert_eq!(layers(option), ["ColonRun"], "{option}");
        }
        for option in [r"\", r"/a:\", r"/a\\\"] {
            assert_eq!(layers(option), ["TrailingBackslash"], "{option}");
        }
        assert_eq!(layers("/a::/b:/c:/d"), ["/a", "::/b", "RegularAfterData"]);
    }

    #[test]
    fn limit() {
        let option = vec!["/a"; MAX_LAYERS].join(":");
        assert_eq!(layers(&option).len(), MAX_LAYERS);
        assert_eq!(layers(&(option.clone() + ":/b")), ["TooMany"]);
        assert_eq!(layers(&(option + "::/b")), ["TooMany"]);
        // Separators are wrong before there are too many layers.
        assert_eq!(layers(&vec!["/a:::"; 600].concat()), ["ColonRun"]);
    }

    #[test]
    fn messages() {
        use crate::error::{Errno, Fault};
        let limit = LowerdirError::TooMany;
        assert!(limit.to_string().ends_with(&MAX_LAYERS.to_string()));
        assert_eq!(limit.errno(), Errno::Inval);
    }
}
