//! Until when a lock may be relied on: as the one who keeps it alive knows it, and as those
//! who use it ask.

use crate::clock::{sleep_until, BootTime};
use crate::error::LossReason;
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::task::Poll;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug)]
struct State {
    until: BootTime,
    loss: Option<LossReason>,
}

impl State {
    /// Whether it is lost: what is lost stays so.
    fn judged(&mut self) -> Option<LossReason> {
        if self.loss.is_none() && self.until.is_over() {
            self.loss = Some(LossReason::Expired);
        }
        self.loss
    }
}

/// The end of a lease, which moves, and whether it was lost before.
#[derive(Debug)]
pub(crate) struct Validity {
    state: watch::Sender<State>,
}

impl Validity {
    /// Valid until then, so far.
    pub fn until(until: BootTime) -> Self {
        let (state, _) = watch::channel(State { until, loss: None });
        Self { state }
    }

    pub fn end(&self) -> BootTime {
        self.state.borrow().until
    }

    /// Why it is lost, if it is: the clock is read.
    pub fn loss(&self) -> Option<LossReason> {
        let mut state = *self.state.borrow();
        if state.judged().is_some() {
            // It is noted, so that a late answer does not undo it.
            self.state.send_if_modified(|state| {
                let before = state.loss;
                state.judged() != before
            });
        }
        state.loss
    }

    /// That it is over.
    pub fn lose(&self, reason: LossReason) {
        self.state.send_if_modified(|state| {
            let is_news = state.judged().is_none();
            state.loss = state.loss.or(Some(reason));
            is_news
        });
    }

    /// That it lasts until then at least, unless it is lost.
    pub fn extend(&self, until: BootTime) {
        self.state.send_if_modified(|state| {
            let is_held = state.judged().is_none();
            if is_held {
                state.until = state.until.max(until);
            }
            is_held
        });
    }

    /// Comes back when it is lost.
    pub async fn lost(&self) -> LossReason {
        let mut news = self.state.subscribe();
        loop {
            let until = news.borrow_and_update().until;
            if let Some(reason) = self.loss() {
                return reason;
            }
            tokio::select! {
                _ = news.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Does this work for as long as the lock is held. When it is lost, the work is dropped
    /// where it is.
    pub async fn run<W: Future>(&self, work: W) -> Result<W::Output, LossReason> {
        let mut work = pin!(work);
        let mut lost = pin!(self.lost());
        poll_fn(|context| {
            let loss = match lost.as_mut().poll(context) {
                Poll::Ready(reason) => Some(reason),
                Poll::Pending => self.loss(),
            };
            match loss {
                Some(reason) => Poll::Ready(Err(reason)),
                None => work.as_mut().poll(context).map(Ok),
            }
        })
        .await
    }
}
