//! The queues and buffers that threads hand over, with the locks of `shuttle`, which tries the orders in which threads can
//! run. The sources are those of the server; a failure prints a schedule that repeats it.
#![allow(dead_code, reason = "the checks use a part of the sources")]
#![allow(unreachable_pub, reason = "the sources are modules of another crate")]

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shuttle::thread;

/// The locks of the sources.
mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

/// The clock of the sources. It moves only when a check moves it.
mod clock {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    pub type Millis = i64;

    static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);
    static SECONDS: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn read_instant() -> Instant {
        *BASE + Duration::from_secs(SECONDS.load(Ordering::SeqCst))
    }

    pub(crate) fn advance(seconds: u64) {
        SECONDS.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// The errors of the sources.
mod error {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Reason {
        DiskStalled,
        WriteOutcomeUnknown,
    }

    #[derive(Debug)]
    pub(crate) struct Error(Reason);

    impl Error {
        pub(crate) fn new(reason: Reason) -> Self {
            Self(reason)
        }

        pub(crate) fn reason(&self) -> Reason {
            self.0
        }
    }

    pub(crate) type Result<T> = std::result::Result<T, Error>;
}

/// The nouns of the sources.
mod model {
    pub(crate) mod configuration {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct ConfigurationKey {
            pub account: i64,
            pub key: i64,
        }
    }

    pub(crate) mod audit_context {
        pub struct AccountKey {
            pub key: i64,
        }

        pub struct AccountScope(Option<AccountKey>);

        impl AccountScope {
            pub fn account(&self) -> Option<&AccountKey> {
                self.0.as_ref()
            }
        }
    }
}

/// The lines of the log.
mod log {
    pub(crate) mod line {
        use std::borrow::Cow;

        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum LineFormat {
            Json,
            Text,
        }

        pub(crate) fn escape_controls(line: &[u8], _: LineFormat) -> Cow<'_, [u8]> {
            Cow::Borrowed(line)
        }
    }
}

#[path = "../../src/log/buffer.rs"]
mod buffer;
#[path = "../../src/store/recent_use.rs"]
mod recent_use;

#[path = "../../src/store/engine"]
mod engine {
    pub(crate) mod fair_queue;
    pub(crate) mod owner;
    pub(crate) mod queued_write;
    pub(crate) mod write_queue;

    /// The transaction of a write, which these checks do not need.
    pub(crate) mod snapshot {
        pub(crate) struct Tx<'c>(std::marker::PhantomData<&'c ()>);

        impl Tx<'_> {
            pub(crate) fn new() -> Self {
                Self(std::marker::PhantomData)
            }
        }
    }
}

/// The paths that the sources use.
mod store {
    pub(crate) use crate::engine;
}

use buffer::LogBuffer;
use engine::owner::WorkOwner;
use engine::queued_write::{Isolation, QueuedWrite, ResultSender, WithdrawableWrite, WriteTicket, WriteVerdict};
use engine::snapshot::Tx;
use engine::write_queue::{PushError, WriteQueue};
use error::Reason;
use log::line::LineFormat;
use model::configuration::ConfigurationKey;
use recent_use::RecentUse;
use sync::Mutex;

/// Runs of a check, each in another order.
const RUNS: usize = 3_000;

/// A write that stores its number, and returns it.
struct NumberedWrite {
    number: usize,
    ticket: Arc<WriteTicket<usize>>,
    ran: Ran,
    dropped: Arc<AtomicUsize>,
}

/// The numbers of the writes that ran, in their order.
type Ran = Arc<Mutex<Vec<usize>>>;

fn list_numbers(ran: &Ran) -> Vec<usize> {
    ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl QueuedWrite for NumberedWrite {
    fn isolation(&self) -> Isolation {
        Isolation::None
    }

    fn request(&self) -> Option<&str> {
        None
    }

    fn ticket(&self) -> Arc<dyn WithdrawableWrite> {
        Arc::clone(&self.ticket) as Arc<dyn WithdrawableWrite>
    }

    fn run(&mut self, _: &Tx<'_>) -> bool {
        let starts = self.ticket.start();
        if starts {
            self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        }
        starts
    }

    fn send_result(self: Box<Self>, _: WriteVerdict) {
        self.ticket.answer(Ok(self.number));
    }
}

impl Drop for NumberedWrite {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// A queue, and what its writes did.
#[derive(Clone)]
struct CheckedQueue {
    queue: Arc<WriteQueue>,
    ran: Ran,
    dropped: Arc<AtomicUsize>,
}

type PendingAnswer = Receiver<error::Result<usize>>;

impl CheckedQueue {
    fn new() -> Self {
        Self { queue: Arc::new(WriteQueue::new(8)), ran: Arc::default(), dropped: Arc::default() }
    }

    fn push(&self, owner: WorkOwner, number: usize) -> Result<PendingAnswer, PushError> {
        let (sender, receiver) = sync_channel(1);
        let ticket = Arc::new(WriteTicket::new(ResultSender::Thread(sender)));
        let (ran, dropped) = (Arc::clone(&self.ran), Arc::clone(&self.dropped));
        self.queue.push(owner, Box::new(NumberedWrite { number, ticket, ran, dropped })).map(|()| receiver)
    }

    /// The loop of the writer.
    fn run_writer(&self, batch_max: usize) {
        while let Some((first, _)) = self.queue.wait_for_first() {
            let mut batch = vec![first];
            let mut next = 0;
            while let Some(due) = batch.get_mut(next) {
                due.write.run(&Tx::new());
                next += 1;
                if next < batch_max {
                    batch.extend(self.queue.pop(None, None));
                }
            }
            self.queue.complete_batch(None, false);
            for due in batch {
                due.write.send_result(WriteVerdict::Committed);
            }
        }
    }
}

fn every_accepted_write_runs_once_and_in_the_order_of_its_owner() {
    shuttle::check_random(
        || {
            let queue = CheckedQueue::new();
            let writer = queue.clone();
            let writer = thread::spawn(move || writer.run_writer(3));
            let callers: Vec<_> = (0..3_usize)
                .map(|caller| {
                    let queue = queue.clone();
                    thread::spawn(move || {
                        let key = i64::try_from(caller).unwrap();
                        let owner = WorkOwner::Configuration(ConfigurationKey { account: key, key });
                        let numbers = caller * 10..caller * 10 + 3;
                        let pushed = numbers.filter_map(|number| match queue.push(owner, number) {
                            Ok(answer) => Some((number, answer)),
                            Err(PushError::Full) => None,
                            Err(PushError::Ended) => panic!("the queue ended early"),
                        });
                        pushed.collect::<Vec<_>>()
                    })
                })
                .collect();
            let accepted: Vec<Vec<_>> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
            queue.queue.close();
            writer.join().unwrap();
            let ran = list_numbers(&queue.ran);
            for (caller, accepted) in accepted.iter().enumerate() {
                let own: Vec<usize> = ran.iter().copied().filter(|number| number / 10 == caller).collect();
                assert_eq!(own, accepted.iter().map(|(number, _)| *number).collect::<Vec<_>>());
                for (number, answer) in accepted {
                    assert_eq!(answer.try_recv().unwrap().unwrap(), *number);
                }
            }
            assert_eq!(ran.len(), accepted.iter().map(Vec::len).sum::<usize>());
            assert_eq!(queue.dropped.load(Ordering::SeqCst), 9);
        },
        RUNS,
    );
}

fn a_write_at_the_end_of_the_queue_runs_or_is_rejected() {
    shuttle::check_random(
        || {
            let queue = CheckedQueue::new();
            let (writer, caller) = (queue.clone(), queue.clone());
            let writer = thread::spawn(move || writer.run_writer(2));
            let caller = thread::spawn(move || {
                (0..2).filter_map(|number| caller.push(WorkOwner::Management, number).ok()).collect::<Vec<_>>()
            });
            queue.queue.close();
            writer.join().unwrap();
            let accepted = caller.join().unwrap();
            assert_eq!(list_numbers(&queue.ran).len(), accepted.len());
            assert!(accepted.iter().all(|answer| answer.try_recv().unwrap().is_ok()));
            assert_eq!(queue.dropped.load(Ordering::SeqCst), 2);
        },
        RUNS,
    );
}

fn a_writer_that_ends_drops_the_queued_writes() {
    shuttle::check_random(
        || {
            let queue = CheckedQueue::new();
            let caller = queue.clone();
            let caller = thread::spawn(move || {
                for number in 0..2 {
                    let _ = caller.push(WorkOwner::Background, number);
                }
            });
            // What a panic of the writer thread does.
            queue.queue.end();
            caller.join().unwrap();
            assert_eq!(queue.dropped.load(Ordering::SeqCst), 2);
            assert!(queue.queue.pop(None, None).is_none());
        },
        RUNS,
    );
}

/// The thread that ends overdue writes runs next to the writer: a write whose caller reads that it was not made never runs,
/// and each caller gets exactly one answer.
fn an_overdue_write_has_one_answer_and_it_is_true() {
    shuttle::check_random(
        || {
            let queue = CheckedQueue::new();
            let answers: Vec<_> =
                (0..3).map(|number| queue.push(WorkOwner::Management, number).ok().unwrap()).collect();
            clock::advance(60);
            let (writer, watch) = (queue.clone(), queue.clone());
            let writer = thread::spawn(move || writer.run_writer(2));
            let watch = thread::spawn(move || watch.queue.withdraw_overdue());
            let next = watch.join().unwrap();
            assert!(next.is_none_or(|next| next <= Duration::from_secs(10)));
            queue.queue.close();
            writer.join().unwrap();
            let ran = list_numbers(&queue.ran);
            for (number, answer) in answers.iter().enumerate() {
                let has_run = ran.contains(&number);
                match answer.try_recv().expect("an answer") {
                    Ok(returned) => assert!(has_run && returned == number),
                    Err(error) if error.reason() == Reason::DiskStalled => assert!(!has_run),
                    Err(error) => assert_eq!((error.reason(), has_run), (Reason::WriteOutcomeUnknown, true)),
                }
                assert!(answer.try_recv().is_err());
            }
            assert_eq!(queue.dropped.load(Ordering::SeqCst), 3);
        },
        RUNS,
    );
}

fn every_line_of_the_log_is_written_once_and_whole() {
    shuttle::check_random(
        || {
            let lines = LogBuffer::new(LineFormat::Json);
            let callers: Vec<_> = (0..2)
                .map(|caller| {
                    let mut lines = lines.clone();
                    thread::spawn(move || {
                        for number in 0..3 {
                            lines.write_all(format!("{caller}{number}\n").as_bytes()).unwrap();
                        }
                    })
                })
                .collect();
            let flusher = {
                let lines = lines.clone();
                thread::spawn(move || {
                    let mut out = Vec::new();
                    for _ in 0..3 {
                        lines.write_out(&mut out);
                        thread::yield_now();
                    }
                    out
                })
            };
            for caller in callers {
                caller.join().unwrap();
            }
            let mut out = flusher.join().unwrap();
            lines.write_out(&mut out);
            let text = String::from_utf8(out).unwrap();
            for caller in ["0", "1"] {
                let own: Vec<&str> = text.lines().filter(|line| line.starts_with(caller)).collect();
                let expected: Vec<String> = (0..3).map(|number| format!("{caller}{number}")).collect();
                assert_eq!(own, expected);
            }
            assert_eq!(lines.count_lines(), (0, 0));
        },
        RUNS,
    );
}

fn a_use_during_a_flush_is_stored_by_it_or_by_the_next() {
    shuttle::check_random(
        || {
            let recent = Arc::new(RecentUse::default());
            let callers: Vec<_> = (1..=2_i64)
                .map(|caller| {
                    let recent = Arc::clone(&recent);
                    thread::spawn(move || {
                        for at in 1..=3 {
                            recent.record_call(1, "token", caller * 10 + at, caller == 1);
                        }
                    })
                })
                .collect();
            let mut stored = i64::MIN;
            let store = |stored: &mut i64, is_failing: bool| {
                let unsaved = recent.take_unsaved();
                if is_failing {
                    recent.restore_unsaved(&unsaved);
                    return;
                }
                for (_, used) in &unsaved.tokens {
                    *stored = (*stored).max(used.last);
                }
            };
            store(&mut stored, true);
            store(&mut stored, false);
            for caller in callers {
                caller.join().unwrap();
            }
            store(&mut stored, false);
            assert_eq!(stored, 23);
            assert_eq!(recent.find_last_seen(1).map(|seen| (seen.last_call, seen.last_write)), Some((23, Some(13))));
        },
        RUNS,
    );
}

fn main() {
    let checks: [fn(); 6] = [
        every_accepted_write_runs_once_and_in_the_order_of_its_owner,
        a_write_at_the_end_of_the_queue_runs_or_is_rejected,
        a_writer_that_ends_drops_the_queued_writes,
        an_overdue_write_has_one_answer_and_it_is_true,
        every_line_of_the_log_is_written_once_and_whole,
        a_use_during_a_flush_is_stored_by_it_or_by_the_next,
    ];
    let started = std::time::Instant::now();
    for check in checks {
        check();
    }
    println!("{} checks of the queues and buffers, {RUNS} orders each, in {:.1?}", checks.len(), started.elapsed());
}
