//! The clients that publish, one for each room, directly: their acknowledgements tell what the server took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use trunkline_client::{AckError, Args, Client, OfflineBuffer, Socket, Value};

use super::ledger::Fate;
use super::options::Options;
use super::receiver::{Joined, Member, Numbered, Room, Run, lock};
use crate::Failure;
use crate::console::{self, error_of};

/// The publisher of one room.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) member: Arc<Member>,
    socket: Socket,
    client: Client,
}

impl Publisher {
    /// # Errors
    /// What of the options cannot be used.
    pub(crate) async fn start(options: &Options, run: &Arc<Run>, room: &Arc<Room>) -> Result<Self, Failure> {
        let member = Member::new(run, room);
        // What cannot be sent at once is not published: a number is sent once or never.
        let builder = console::builder(&options.connection)?
            .offline_buffer(OfflineBuffer::None)
            .state(Arc::clone(&member));
        let client = console::build(builder)?;
        let socket = member.enter(&client, &options.connection.target.namespace).await;
        socket.connect();
        Ok(Self { member, socket, client })
    }

    /// Sends the room's next number, and notes in a task of its own what the server says; false while there is no connection.
    fn publish(&self, options: &Options, pad: &str, answers: &mut JoinSet<()>) -> bool {
        let Member { run, room, joined, .. } = &*self.member;
        if *joined.borrow() != Joined::Yes || !self.socket.is_connected() {
            return false;
        }
        let n = lock(&room.published).begin();
        let event = Numbered { room: room.name.clone(), n, at: run.now(), pad: pad.to_owned() };
        let args = Args((&room.name, &options.event, &event));
        let answer = self.socket.emit_with_ack::<Args<Vec<Value>>>(&options.publish_event, args);
        let room = Arc::clone(room);
        answers.spawn(async move {
            let fate = match answer.await {
                Ok(Args(values)) if error_of(&values).is_none() => Fate::Taken,
                Ok(_) | Err(AckError::Emit(_)) => Fate::Refused,
                Err(_) => Fate::Unsure,
            };
            lock(&room.published).settle(n, fate);
        });
        true
    }

    pub(crate) async fn close(self) {
        // A server that takes nothing any more is not worth more time.
        drop(tokio::time::timeout(Duration::from_secs(1), self.client.close()).await);
    }
}

/// Publishes at the rate that is asked for, to one room after the other, and waits for the answers. How many events were left
/// out because their publisher had no connection.
pub(crate) async fn publish(publishers: &[Publisher], options: &Options) -> u64 {
    let (mut answers, pad) = (JoinSet::new(), "x".repeat(options.size));
    let (began, mut skipped) = (Instant::now(), 0);
    let mut turns = publishers.iter().cycle();
    let (mut done, mut tick) = (0.0, interval(TICK));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < options.duration {
        tick.tick().await;
        let due = began.elapsed().min(options.duration).as_secs_f64() * options.rate;
        while done < due.floor() {
            done += 1.0;
            let sent = turns.next().is_some_and(|next| next.publish(options, &pad, &mut answers));
            skipped += u64::from(!sent);
            // A server that answers nothing is not buried under more.
            if answers.len() >= UNANSWERED {
                drop(answers.join_next().await);
            }
        }
        while answers.try_join_next().is_some() {}
    }
    while answers.join_next().await.is_some() {}
    skipped
}

const TICK: Duration = Duration::from_millis(5);
/// Publications under way.
const UNANSWERED: usize = 10_000;
