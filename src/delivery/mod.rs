//! Delivery of events to webhooks, on a thread of its own with its own runtime, so that it never delays a request of an identity
//! provider. The database has the whole state: what is in memory is only which lanes have something to do.

mod dispatcher;
mod lane_task;
mod pending_scans;
pub mod scheduler;
pub mod sealing;
pub mod sender;
pub mod statistics;

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::auth::jwt::SigningKey;
use crate::error::{Error, Reason, Result};
use crate::management::instance;
use crate::model::webhook::Webhook;
use crate::outgoing::OutgoingRules;
use crate::provisioning::webhook_delivery as lanes;
use crate::store::Store;
use crate::thread_priority::lower_priority;

pub use crate::delivery::sender::{HEADER_PURPOSE, KEY_PURPOSE, OpenEndpoint, OutgoingMessage, SendOutcome, Sender};
pub use crate::delivery::statistics::DeliveryFigures;
use crate::delivery::statistics::DeliveryStatistics;

/// Tests and repetitions that wait.
const ORDERS_MAX: usize = 64;

/// Something to send besides the lanes.
enum SendingOrder {
    /// A test; the answer is the outcome.
    Test { webhook: Box<Webhook>, reply: oneshot::Sender<Result<SendOutcome>> },
    /// Batches of a configuration that were delivered before: first and last event of each.
    Resend { webhook: Box<Webhook>, configuration: i64, batches: Vec<(i64, i64)> },
}

/// What the loop and its tasks share.
struct DispatchContext {
    store: Store,
    sender: Arc<Sender>,
    statistics: Arc<DeliveryStatistics>,
    changes: Arc<Notify>,
    stop: watch::Receiver<bool>,
}

/// The delivery of a server.
pub struct Delivery {
    orders: mpsc::Sender<SendingOrder>,
    changes: Arc<Notify>,
    stop: watch::Sender<bool>,
    statistics: Arc<DeliveryStatistics>,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What delivery needs.
pub struct DeliverySettings {
    /// Which servers may be called.
    pub rules: OutgoingRules,
    /// Decrypts the keys of webhooks.
    pub signing_key: Arc<SigningKey>,
}

impl Delivery {
    /// Starts the delivery.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(store: Store, settings: DeliverySettings) -> std::io::Result<Self> {
        let (orders, incoming) = mpsc::channel(ORDERS_MAX);
        let changes = Arc::new(Notify::new());
        let stop = watch::Sender::new(false);
        let statistics = Arc::new(DeliveryStatistics::default());
        let sender = Arc::new(Sender::new(settings));
        let context = DispatchContext {
            store,
            sender,
            statistics: Arc::clone(&statistics),
            changes: Arc::clone(&changes),
            stop: stop.subscribe(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            lower_priority();
            runtime.block_on(dispatcher::run(context, incoming));
        };
        let thread = thread::Builder::new().name("delivery".to_owned()).spawn(run)?;
        Ok(Self { orders, changes, stop, statistics, thread: std::sync::Mutex::new(Some(thread)) })
    }

    /// Reports that a webhook or a lane was changed.
    pub fn notify_change(&self) {
        self.changes.notify_one();
    }

    /// The counts of the delivery.
    pub fn read_figures(&self) -> DeliveryFigures {
        self.statistics.read()
    }

    /// Sends a test at once and returns the outcome.
    ///
    /// # Errors
    /// `WebhookSendingBusy` if too many are waiting. `WebhookKeySealed` if the keys cannot be decrypted. `ServerStopping`.
    pub async fn send_test(&self, webhook: Webhook) -> Result<SendOutcome> {
        let (reply, answer) = oneshot::channel();
        self.order(SendingOrder::Test { webhook: Box::new(webhook), reply })?;
        answer.await.unwrap_or_else(|_| Err(Error::new(Reason::WebhookSendingBusy)))
    }

    /// Sends batches again that were delivered before. Returns without waiting for them.
    ///
    /// # Errors
    /// `WebhookSendingBusy` if too many are waiting.
    pub fn resend(&self, webhook: Webhook, configuration: i64, batches: Vec<(i64, i64)>) -> Result<()> {
        self.order(SendingOrder::Resend { webhook: Box::new(webhook), configuration, batches })
    }

    fn order(&self, order: SendingOrder) -> Result<()> {
        self.orders.try_send(order).map_err(|_| Error::new(Reason::WebhookSendingBusy))
    }

    /// Starts no further request.
    pub fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Ends the delivery: starts no further request, and gives those in flight a few seconds.
    pub fn stop(&self) {
        self.begin_stop();
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
    }
}

/// Sends one test outside of a server, for the command line. Returns the outcome.
///
/// # Errors
/// `WebhookKeySealed` if the keys cannot be decrypted.
pub fn send_test_once(store: &Store, settings: DeliverySettings, webhook: Webhook) -> anyhow::Result<SendOutcome> {
    let sender = Sender::new(settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let endpoint = open_endpoint(store, &sender, webhook)?;
    let issuer = store.read_inline(instance::get_public_url)?;
    let message = OutgoingMessage::for_test(&endpoint, &issuer)?;
    Ok(runtime.block_on(sender.send(&endpoint, &message)))
}

fn open_endpoint(store: &Store, sender: &Sender, webhook: Webhook) -> Result<OpenEndpoint> {
    let now = crate::clock::current_millis();
    let keys = store.read_inline(|at| lanes::list_signing_keys(at, webhook.key, now))?;
    OpenEndpoint::open(webhook, &keys, sender.signing_key())
}
