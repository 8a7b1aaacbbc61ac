//! A choice between two packed blocks and a boxed large form, in one pointer.
//!
//! Most collections are small and packed, some are large. Written as an enum the choice costs
//! a second word per collection; here it is the two low bits of the pointer. That works because
//! a packed structure is itself one pointer whose low bits are always its own tag
//! ([`Packed::TAG`]), so a reference to the word *is* a reference to the structure.
//!
//! | low bits | the word is |
//! |---|---|
//! | 00 | the first packed form |
//! | 01 | the second packed form |
//! | 10 | a `Box` of the large form, plus 2 |
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::intset::Intset;
use crate::listpack::Listpack;

pub(crate) const TAG_SECOND: usize = 1;
const TAG_LARGE: usize = 2;
const TAG_MASK: usize = 3;

/// A structure that is one pointer with known low bits.
///
/// # Safety
/// The type must be `repr(transparent)` over a `NonNull<u8>` whose two low bits always equal
/// `TAG`, which is 0 or 1.
pub unsafe trait Packed {
    /// The two low bits.
    const TAG: usize;
}

// SAFETY: a listpack is a `Block<0>`: an 8-aligned pointer plus 0.
unsafe impl Packed for Listpack {
    const TAG: usize = 0;
}

// SAFETY: an intset is a `Block<1>`: an 8-aligned pointer plus 1.
unsafe impl Packed for Intset {
    const TAG: usize = TAG_SECOND;
}

/// A second packed form for types that have only one; it has no values.
#[derive(Debug)]
pub enum Never {}

// SAFETY: there is no value, so nothing is claimed about any.
unsafe impl Packed for Never {
    const TAG: usize = TAG_SECOND;
}

/// Either of two packed forms or a boxed large one; see the module page.
pub struct Thin<A: Packed, B: Packed, L> {
    word: NonNull<u8>,
    owns: PhantomData<(A, B, Box<L>)>,
}

// SAFETY: the word owns one of the three, nothing else.
unsafe impl<A: Packed + Send, B: Packed + Send, L: Send> Send for Thin<A, B, L> {}
// SAFETY: `&Thin` only gives out references to the owned value.
unsafe impl<A: Packed + Sync, B: Packed + Sync, L: Sync> Sync for Thin<A, B, L> {}

/// What a [`Thin`] holds, by reference.
#[derive(Debug)]
pub enum Form<'a, A, B, L> {
    /// The first packed form.
    First(&'a A),
    /// The second packed form.
    Second(&'a B),
    /// The large form.
    Large(&'a L),
}

/// What a [`Thin`] holds, to change.
#[derive(Debug)]
pub enum FormMut<'a, A, B, L> {
    /// The first packed form.
    First(&'a mut A),
    /// The second packed form.
    Second(&'a mut B),
    /// The large form.
    Large(&'a mut L),
}

impl<A: Packed, B: Packed, L> Thin<A, B, L> {
    const LAYOUT: () = {
        assert!(A::TAG == 0 && B::TAG == TAG_SECOND);
        assert!(size_of::<A>() == 8 && (size_of::<B>() == 8 || size_of::<B>() == 0));
        assert!(align_of::<L>() >= 4);
    };

    /// # Safety
    /// `P` must be `A` or `B`.
    unsafe fn packed<P: Packed>(p: P) -> Self {
        let () = Self::LAYOUT;
        let p = ManuallyDrop::new(p);
        // SAFETY: `Packed` promises that P is transparent over a NonNull<u8>; ownership moves
        // into the word.
        let word = unsafe { (&raw const p).cast::<NonNull<u8>>().read() };
        debug_assert_eq!(word.addr().get() & TAG_MASK, P::TAG);
        Thin { word, owns: PhantomData }
    }

    /// Holds the first packed form.
    pub fn first(a: A) -> Self {
        // SAFETY: it is A.
        unsafe { Self::packed(a) }
    }

    /// Holds the second packed form.
    pub fn second(b: B) -> Self {
        // SAFETY: it is B.
        unsafe { Self::packed(b) }
    }

    /// Holds the large form.
    pub fn large(l: Box<L>) -> Self {
        let () = Self::LAYOUT;
        // SAFETY: a box is never null and, with an alignment of 4 or more (LAYOUT), has its two
        // low bits clear; adding the tag stays within or one past the value's allocation rules
        // because `wrapping_add` keeps the provenance without claiming to be in bounds.
        let word = unsafe {
            NonNull::new_unchecked(Box::into_raw(l).cast::<u8>().wrapping_add(TAG_LARGE))
        };
        Thin { word, owns: PhantomData }
    }

    #[inline]
    fn tag(&self) -> usize {
        self.word.addr().get() & TAG_MASK
    }

    #[inline]
    fn large_ptr(&self) -> *mut L {
        self.word.as_ptr().wrapping_sub(TAG_LARGE).cast()
    }

    /// What is held.
    #[inline]
    pub fn form(&self) -> Form<'_, A, B, L> {
        match self.tag() {
            // SAFETY: the tag says the word is an A, which is transparent over it.
            0 => Form::First(unsafe { &*(&raw const self.word).cast::<A>() }),
            // SAFETY: likewise for B.
            TAG_SECOND => Form::Second(unsafe { &*(&raw const self.word).cast::<B>() }),
            // SAFETY: the tag says the word is a box of L plus the tag; it is borrowed with self.
            _ => Form::Large(unsafe { &*self.large_ptr() }),
        }
    }

    /// What is held, to change.
    #[inline]
    pub fn form_mut(&mut self) -> FormMut<'_, A, B, L> {
        match self.tag() {
            // SAFETY: the tag says the word is an A, which is transparent over it; A keeps its
            // tag whatever it does (`Packed`).
            0 => FormMut::First(unsafe { &mut *(&raw mut self.word).cast::<A>() }),
            // SAFETY: likewise for B.
            TAG_SECOND => FormMut::Second(unsafe { &mut *(&raw mut self.word).cast::<B>() }),
            // SAFETY: the tag says the word is a box of L plus the tag; it is borrowed with self.
            _ => FormMut::Large(unsafe { &mut *self.large_ptr() }),
        }
    }
}

impl<A: Packed, B: Packed, L> Drop for Thin<A, B, L> {
    #[inline]
    fn drop(&mut self) {
        match self.tag() {
            // SAFETY: the word is an A and is not used again.
            0 => unsafe { (&raw mut self.word).cast::<A>().drop_in_place() },
            // SAFETY: the word is a B and is not used again.
            TAG_SECOND => unsafe { (&raw mut self.word).cast::<B>().drop_in_place() },
            // SAFETY: the pointer came from Box::into_raw and is not used again.
            _ => drop(unsafe { Box::from_raw(self.large_ptr()) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Choice = Thin<Listpack, Intset, Vec<String>>;

    #[test]
    fn each_form_comes_back_and_is_dropped() {
        let mut c = Choice::first(Listpack::new());
        assert_eq!(size_of::<Choice>(), 8);
        assert_eq!(size_of::<Option<Choice>>(), 8);
        let FormMut::First(pack) = c.form_mut() else { panic!("listpack") };
        for n in 0..100 {
            pack.push_back(n);
        }
        let Form::First(pack) = c.form() else { panic!("listpack") };
        assert_eq!(pack.len(), 100);

        c = Choice::second((0..100).collect());
        let FormMut::Second(ints) = c.form_mut() else { panic!("intset") };
        assert!(ints.insert(1 << 40));
        let Form::Second(ints) = c.form() else { panic!("intset") };
        assert_eq!(ints.max(), Some(1 << 40));

        c = Choice::large(Box::new(vec!["a".to_owned()]));
        let FormMut::Large(v) = c.form_mut() else { panic!("large") };
        v.push("b".to_owned());
        let Form::Large(v) = c.form() else { panic!("large") };
        assert_eq!(v.len(), 2);
        drop(c);
        drop(Choice::second(Intset::new()));
    }
}
