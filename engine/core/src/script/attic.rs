//! Interpreters that nobody uses any more (FUNCTION FLUSH ASYNC, SCRIPT FLUSH ASYNC): taken apart a little in
//! each turn, so that a flush takes no time however much there was.
//!
//! An interpreter belongs to its thread, handles and all, so this is not left to another one. What the
//! scripts have left becomes garbage at once, the interpreter's own collector frees it in small steps, and
//! when it has been through, what is left is no more than a new interpreter is.

use super::vm::Vm;
use std::collections::VecDeque;
use std::rc::Rc;

/// Fewer scripts or functions are freed on the spot (Redis `LAZYFREE_THRESHOLD`).
const MANY: usize = 64;
/// Whole rounds of the collector: the first may have begun before there was garbage.
const ROUNDS: u32 = 2;

struct Old {
    vm: Rc<Vm>,
    /// Scripts or functions that go with it.
    objects: u64,
    rounds: u32,
}

/// What is left of flushed interpreters.
#[derive(Default)]
pub(super) struct Attic {
    list: VecDeque<Old>,
    freed: u64,
}

impl Attic {
    /// Takes an interpreter with so many scripts or functions.
    pub(super) fn put(&mut self, vm: Option<Rc<Vm>>, count: usize, later: bool) {
        let Some(vm) = vm.filter(|_| later && count > MANY) else { return };
        vm.forget_all();
        self.list.push_back(Old { vm, objects: count as u64, rounds: 0 });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Does a little of what is left to do.
    pub(super) fn sweep(&mut self) {
        let Some(old) = self.list.front_mut() else { return };
        old.rounds += u32::from(old.vm.collect_some());
        if old.rounds >= ROUNDS {
            // With the interpreter itself.
            self.freed += old.objects + 1;
            self.list.pop_front();
        }
    }

    pub(super) fn count_anew(&mut self) {
        self.freed = 0;
    }

    /// What has been freed, and what will be.
    pub(super) fn figures(&self) -> (u64, u64) {
        (self.freed, self.list.iter().map(|old| old.objects + 1).sum())
    }
}
