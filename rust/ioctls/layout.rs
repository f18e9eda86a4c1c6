// SPDX-License-Identifier: GPL-2.0

//! Structures as bytes.

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Where it begins.
    pub offset: usize,
    /// The size of one of its elements.
    pub size: usize,
    /// How many elements it has: 1 if it is no array.
    pub count: usize,
}

/// What each structure begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// How many bytes the caller has room for; in the answer, how many of these have been filled.
    pub size: u32,
    /// What else the caller wants of the request.
    pub flags: u32,
}

impl Head {
    /// Its length.
    pub const LEN: usize = 8;

    /// What `bytes` begin with.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [a, b, c, d, e, f, g, h] = *bytes;
        Self {
            size: u32::from_ne_bytes([a, b, c, d]),
            flags: u32::from_ne_bytes([e, f, g, h]),
        }
    }
}

/// A structure that is exchanged with the kernel.
///
/// It begins with [`Head`]. Who knows less of it than the other passes a smaller one, and gets its
/// beginning. Who knows more passes a larger one, of which the kernel takes what is zero: it refuses
/// (`E2BIG`) what asks it for something that it does not know.
pub trait Exchange: Sized {
    /// The length of the structure.
    const LEN: usize;
    /// The length of its first version, below which none is taken.
    const FIRST_LEN: usize;
    /// The name in C.
    const NAME: &'static str;
    /// The members.
    const FIELDS: &'static [Field];

    /// The structure of which `bytes` are the beginning; the rest is zero.
    fn from_bytes(bytes: &[u8]) -> Self;

    /// Puts the structure into `bytes`, as far as it fits.
    fn put(&self, bytes: &mut [u8]);
}

/// A member that is put into bytes in the order of the machine.
pub(crate) trait Plain: Copy {
    /// The size of one element.
    const SIZE: usize;
    /// The number of elements.
    const COUNT: usize = 1;

    /// Takes it from the beginning of `bytes`, and returns what is behind it.
    fn take(bytes: &[u8]) -> (Self, &[u8]);

    /// Puts it to the beginning of `bytes`, and returns what is behind it.
    fn put(self, bytes: &mut [u8]) -> &mut [u8];
}

macro_rules! plain {
    ($($kind:ty),*) => {$(
        impl Plain for $kind {
            const SIZE: usize = size_of::<Self>();

            fn take(bytes: &[u8]) -> (Self, &[u8]) {
                let mut own = [0; size_of::<Self>()];
                for (to, from) in own.iter_mut().zip(bytes) {
                    *to = *from;
                }
                let rest = bytes.get(own.len()..).unwrap_or_default();
                (Self::from_ne_bytes(own), rest)
            }

            fn put(self, bytes: &mut [u8]) -> &mut [u8] {
                let own = self.to_ne_bytes();
                for (to, from) in bytes.iter_mut().zip(own) {
                    *to = from;
                }
                bytes.get_mut(own.len()..).unwrap_or_default()
            }
        }
    )*};
}

plain!(u8, u32, i32, u64);

impl<T: Plain + Default, const N: usize> Plain for [T; N] {
    const SIZE: usize = T::SIZE;
    const COUNT: usize = N;

    fn take(bytes: &[u8]) -> (Self, &[u8]) {
        let (mut own, mut rest) = ([T::default(); N], bytes);
        for element in &mut own {
            (*element, rest) = T::take(rest);
        }
        (own, rest)
    }

    fn put(self, bytes: &mut [u8]) -> &mut [u8] {
        let mut rest = bytes;
        for element in self {
            rest = element.put(rest);
        }
        rest
    }
}

/// Makes a structure of plain members, with no room between them.
macro_rules! exchanged {
    (
        $(#[$doc:meta])*
        pub struct $name:ident, $c_name:literal, first $first:literal {
            $($(#[$field_doc:meta])* pub $field:ident: $kind:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl $crate::layout::Exchange for $name {
            const LEN: usize = size_of::<Self>();
            const FIRST_LEN: usize = $first;
            const NAME: &'static str = $c_name;
            const FIELDS: &'static [$crate::layout::Field] = &[$($crate::layout::Field {
                name: stringify!($field),
                offset: core::mem::offset_of!(Self, $field),
                size: <$kind as $crate::layout::Plain>::SIZE,
                count: <$kind as $crate::layout::Plain>::COUNT,
            },)*];

            fn from_bytes(bytes: &[u8]) -> Self {
                let rest = bytes;
                $(let ($field, rest) = <$kind as $crate::layout::Plain>::take(rest);)*
                let _ = rest;
                Self { $($field,)* }
            }

            fn put(&self, bytes: &mut [u8]) {
                let rest = bytes;
                $(let rest = <$kind as $crate::layout::Plain>::put(self.$field, rest);)*
                let _ = rest;
            }
        }

        // No room between the members, in which the kernel could leave what it must not show.
        const _: () = assert!(
            size_of::<$name>()
                == 0 $(+ <$kind as $crate::layout::Plain>::SIZE * <$kind as $crate::layout::Plain>::COUNT)*
        );
    };
}

pub(crate) use exchanged;
