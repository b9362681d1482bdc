//! The rules, step by step: what the model walks through by the million, told one by one.

use redis_lock_client::quorum::protocol::{
    drift, Answer, Ask, Attempt, Command, Event, Failure, Loss, Moment, Phase, Request, Token,
};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(3);
const START: Moment = Duration::from_secs(1_000);

fn at(ms: u64) -> Moment {
    START + Duration::from_millis(ms)
}

/// An attempt, and the numbers of the latest requests.
struct Told {
    attempt: Attempt,
    numbers: Vec<u32>,
}

impl Told {
    fn new(nodes: usize) -> Self {
        let (attempt, commands) = Attempt::new(nodes, TTL, START);
        let mut told = Self {
            attempt,
            numbers: vec![0; nodes],
        };
        assert_eq!(told.asks(commands), vec![Request::Acquire; nodes]);
        told
    }

    /// Held by a majority of three with token 7; the third has not answered.
    fn held() -> Self {
        let mut told = Self::new(3);
        assert_eq!(told.says(1, 0, Answer::Holds(Token(7))), []);
        let valid_until = START + TTL - drift(TTL);
        let token = Token(7);
        assert_eq!(
            told.says(2, 1, Answer::Holds(token)),
            [Command::Held { token, valid_until }]
        );
        told
    }

    /// What is asked, in the order of the nodes.
    fn asks(&mut self, commands: Vec<Command>) -> Vec<Request> {
        let mut requests = Vec::new();
        for command in commands {
            if let Command::Ask(Ask {
                node,
                number,
                request,
            }) = command
            {
                self.numbers[node] = number;
                requests.push(request);
            }
        }
        requests
    }

    fn step(&mut self, ms: u64, event: Event) -> Vec<Command> {
        let commands = self.attempt.step(at(ms), event);
        self.asks(commands.clone());
        commands
    }

    fn says(&mut self, ms: u64, node: usize, answer: Answer) -> Vec<Command> {
        let number = self.numbers[node];
        let event = Event::Answered {
            node,
            number,
            answer,
        };
        self.step(ms, event)
    }

    /// A round of keeping alive begins.
    fn round(&mut self, ms: u64) {
        let asked = self.step(ms, Event::Timer);
        let asked = self.asks(asked);
        assert_eq!(asked, [Request::Raise(Token(7)); 3]);
    }
}

#[test]
fn a_majority_with_one_token_needs_no_write_back() {
    Told::held();
}

#[test]
fn the_largest_token_is_written_back_to_who_has_a_smaller_one() {
    let mut told = Told::new(3);
    told.says(1, 0, Answer::Holds(Token(3)));
    let asked = told.says(1, 2, Answer::Holds(Token(9)));
    assert_eq!(told.asks(asked), [Request::Raise(Token(9))]);
    // One that comes late, and is ahead, makes everybody follow.
    let asked = told.says(2, 1, Answer::Holds(Token(12)));
    let raise = Request::Raise(Token(12));
    assert_eq!(told.asks(asked), [raise, raise]);
    let held = told.says(2_000, 0, Answer::Holds(Token(12)));
    let valid_until = START + TTL - drift(TTL);
    let token = Token(12);
    assert_eq!(held, [Command::Held { token, valid_until }]);
}

#[test]
fn an_answer_to_an_earlier_round_is_not_heard() {
    let mut told = Told::held();
    told.round(1_000);
    let earlier = told.numbers.clone();
    told.round(2_000);
    for node in [0, 1, 2] {
        let event = Event::Answered {
            node,
            number: earlier[node],
            answer: Answer::Holds(Token(7)),
        };
        assert_eq!(told.step(2_001, event), []);
    }
    told.says(2_002, 0, Answer::Holds(Token(7)));
    let valid_until = at(2_000) + TTL - drift(TTL);
    let kept = told.says(2_900, 1, Answer::Holds(Token(7)));
    assert_eq!(kept, [Command::Kept { valid_until }]);
}

#[test]
fn a_server_with_a_larger_token_keeps_the_lease_and_changes_no_token() {
    let mut told = Told::held();
    told.round(1_000);
    told.says(1_001, 0, Answer::Holds(Token(7)));
    let valid_until = at(1_000) + TTL - drift(TTL);
    let kept = told.says(1_002, 2, Answer::Holds(Token(99)));
    assert_eq!(kept, [Command::Kept { valid_until }]);
    assert_eq!(told.attempt.token(), Some(Token(7)));
}

#[test]
fn a_lost_record_is_had_again_and_counts_from_the_next_round_on() {
    let mut told = Told::held();
    told.round(1_000);
    let again = told.says(1_001, 1, Answer::HoldsNot);
    assert_eq!(told.asks(again), [Request::Acquire]);
    let again = told.says(1_002, 1, Answer::Holds(Token(2)));
    assert_eq!(told.asks(again), [Request::Raise(Token(7))]);
    assert_eq!(told.says(1_003, 1, Answer::Holds(Token(7))), []);
    // One that held it all the time, and one that has it again: no majority.
    assert_eq!(told.says(1_004, 0, Answer::Holds(Token(7))), []);
    told.round(2_000);
    told.says(2_001, 0, Answer::Holds(Token(7)));
    let valid_until = at(2_000) + TTL - drift(TTL);
    let kept = told.says(2_002, 1, Answer::Holds(Token(7)));
    assert_eq!(kept, [Command::Kept { valid_until }]);
}

#[test]
fn a_hold_that_is_gone_from_a_majority_is_lost_at_once() {
    let mut told = Told::held();
    told.round(1_000);
    told.says(1_001, 0, Answer::HoldsNot);
    let lost = told.says(1_002, 1, Answer::HoldsNot);
    assert_eq!(lost[0], Command::Lost(Loss::Gone));
    assert_eq!(told.asks(lost), [Request::Release; 3]);
}

#[test]
fn what_is_heard_after_the_lease_brings_nothing_back() {
    let mut told = Told::held();
    told.round(2_900);
    told.says(2_901, 0, Answer::Holds(Token(7)));
    // 3,000 less the drift of 32.
    let lost = told.says(2_968, 1, Answer::Holds(Token(7)));
    assert_eq!(lost[0], Command::Lost(Loss::Lapsed));
    assert_eq!(told.asks(lost), [Request::Release; 3]);
    assert_eq!(told.attempt.phase(), Phase::Over);
    assert_eq!(told.says(2_969, 2, Answer::Holds(Token(7))), []);
    assert_eq!(told.attempt.timer(), None);
}

#[test]
fn an_attempt_fails_as_soon_as_no_majority_is_left_and_releases_everywhere() {
    let cases = [
        ([Answer::HoldsNot, Answer::HoldsNot], Failure::Refused),
        ([Answer::HoldsNot, Answer::Unknown], Failure::Unreachable),
        ([Answer::Unknown, Answer::Unknown], Failure::Unreachable),
    ];
    for (answers, failure) in cases {
        let mut told = Told::new(3);
        assert_eq!(told.says(1, 0, answers[0]), []);
        let failed = told.says(2, 2, answers[1]);
        assert_eq!(failed[0], Command::Failed(failure), "{answers:?}");
        assert_eq!(told.asks(failed), [Request::Release; 3]);
    }
    let mut told = Told::new(3);
    told.says(1, 0, Answer::Holds(Token(3)));
    let failed = told.says(2_968, 1, Answer::Holds(Token(3)));
    assert_eq!(failed[0], Command::Failed(Failure::TooLate));
    assert_eq!(told.asks(failed), [Request::Release; 3]);
}

#[test]
fn the_drift_is_that_of_a_lock_on_one_server() {
    for ttl in [Duration::from_millis(100), TTL, Duration::from_secs(86_400)] {
        assert_eq!(drift(ttl), redis_lock_client::lease::drift(ttl));
    }
}
