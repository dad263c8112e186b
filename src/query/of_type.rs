//! [`ListedOfType`]: the events of one type, by the index.

use std::iter::Peekable;
use std::sync::Arc;

use crate::index::{Index, Postings, Unread};
use crate::log::View;
use crate::position::Seq;

/// The Seqs of the events of one type, in order, up to the last that was there when it began. As without an
/// index, one that cannot be read may be of the type.
#[derive(Debug)]
pub(crate) struct ListedOfType {
    view: Arc<View>,
    event_type: Box<str>,
    listed: Peekable<Postings>,
    unread: Peekable<Unread>,
}

impl ListedOfType {
    pub(crate) fn new(view: &Arc<View>, index: &Index, event_type: &str) -> ListedOfType {
        let (first, last) = (view.first_seq(), view.watermark().appended());
        let listed = index.by_type(event_type, Seq::FIRST).upto(last);
        ListedOfType {
            view: view.clone(),
            event_type: event_type.into(),
            listed: listed.peekable(),
            unread: index.unread(first, last).peekable(),
        }
    }

    /// Whether an event that is not listed is of the type, or may be.
    fn may_be(&self, seq: Seq) -> bool {
        match self.view.get(seq) {
            Ok(Some(stored)) => stored.event().event_type() == &*self.event_type,
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

impl Iterator for ListedOfType {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        let listed = self.listed.peek().copied();
        let before = |seq: &Seq| listed.is_none_or(|listed| *seq < listed);
        while let Some(seq) = self.unread.next_if(before) {
            if self.may_be(seq) {
                return Some(seq);
            }
        }
        self.unread.next_if(|seq| Some(*seq) == listed);
        self.listed.next()
    }
}
