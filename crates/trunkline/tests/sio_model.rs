//! The order rules of many tasks at once, against a model: seeded random joins, leaves, emits and disconnects.

mod sio_support;

use std::collections::{BTreeSet, HashMap};

use trunkline::testing::Client;
use trunkline::{Io, Socket};

const TASKS: u8 = 4;
const CLIENTS: usize = 24;
const STEPS: u32 = 400;

/// A generator of our own, so that a seed means the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// What one task's events must look like at each client.
struct Expected {
    task: u8,
    /// By client: the numbers of this task's events, in order.
    events: Vec<Vec<u32>>,
    /// The clients that this task has disconnected.
    gone: BTreeSet<usize>,
}

/// One task: it alone changes and uses its rooms, so the model knows who must get what; clients and namespace are shared.
async fn run(io: Io, sockets: Vec<Socket>, task: u8, seed: u64) -> Expected {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9) + u64::from(task) + 1);
    let rooms: Vec<String> = (0..3).map(|i| format!("{task}-{i}")).collect();
    let mut members: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); rooms.len()];
    let mut expected = Expected { task, events: vec![Vec::new(); sockets.len()], gone: BTreeSet::new() };
    for step in 0..STEPS {
        let client = random.below(sockets.len());
        let room = random.below(rooms.len());
        let socket = &sockets[client];
        let mut to = |receivers: &mut dyn Iterator<Item = usize>| {
            receivers.filter(|c| !expected.gone.contains(c)).for_each(|c| expected.events[c].push(step));
        };
        match random.below(20) {
            0..=5 => {
                socket.join(&rooms[room]);
                members[room].insert(client);
            }
            6..=8 => {
                socket.leave(&rooms[room]);
                members[room].remove(&client);
            }
            9..=12 => {
                io.to(&rooms[room]).emit("e", (task, step)).unwrap();
                to(&mut members[room].iter().copied());
            }
            13..=14 => {
                io.to(&rooms).emit("e", (task, step)).unwrap();
                let all: BTreeSet<usize> = members.iter().flatten().copied().collect();
                to(&mut all.into_iter());
            }
            15 => {
                let other = (room + 1) % rooms.len();
                io.to(&rooms[room]).except(&rooms[other]).emit("e", (task, step)).unwrap();
                to(&mut members[room].difference(&members[other]).copied());
            }
            16 => {
                socket.to(&rooms[room]).emit("e", (task, step)).unwrap();
                to(&mut members[room].iter().copied().filter(|c| *c != client));
            }
            17 => {
                io.emit("e", (task, step)).unwrap();
                to(&mut (0..sockets.len()));
            }
            18 => {
                // Closed if another task has disconnected it: then nothing is expected to arrive.
                drop(socket.emit("e", (task, step)));
                to(&mut std::iter::once(client));
            }
            // Each task disconnects a few clients of its own.
            _ if client % usize::from(TASKS) == usize::from(task) && expected.gone.len() < 3 => {
                socket.disconnect(random.below(2) == 0);
                expected.gone.insert(client);
                members.iter_mut().for_each(|m| m.retain(|c| *c != client));
            }
            _ => tokio::task::yield_now().await,
        }
        if expected.gone.contains(&client) {
            // A join after the disconnect has had no effect.
            members.iter_mut().for_each(|m| m.retain(|c| *c != client));
        }
    }
    expected
}

async fn interleave(seed: u64, shards: usize) {
    let io = Io::builder().shards(shards).build();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(&io, "/", None).await.unwrap());
    }
    let sockets: Vec<Socket> = clients.iter().map(|c| io.socket(c.id()).unwrap()).collect();
    let tasks: Vec<_> = (0..TASKS).map(|t| tokio::spawn(run(io.clone(), sockets.clone(), t, seed))).collect();
    let mut expected = Vec::new();
    for task in tasks {
        expected.push(task.await.unwrap());
    }
    io.emit("end", ()).unwrap();
    let gone: BTreeSet<usize> = expected.iter().flat_map(|e| e.gone.iter().copied()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        let mut seen: HashMap<u8, Vec<u32>> = HashMap::new();
        if gone.contains(&index) {
            client.ended().await.unwrap();
        }
        while let Ok(event) = client.recv().await {
            if event.name() == "end" {
                break;
            }
            let (task, step) = event.data::<(u8, u32)>().unwrap();
            seen.entry(task).or_default().push(step);
        }
        for model in &expected {
            let (seen, all) = (seen.remove(&model.task).unwrap_or_default(), &model.events[index]);
            let what = format!("seed {seed}, shards {shards}, client {index}, task {}", model.task);
            if gone.contains(&index) && !model.gone.contains(&index) {
                // Somebody else has cut it off at some moment: up to then nothing is missing.
                assert!(all.starts_with(&seen), "{what}: {seen:?} of {all:?}");
            } else {
                assert_eq!(&seen, all, "{what}");
            }
        }
    }
    drop((clients, sockets));
    trunkline_testkit::eventually("all is given back", || {
        io.session_count() == 0 && io.metrics().memory == 0
    })
    .await;
    assert!(io.of("/").rooms().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_tasks_operations_take_effect_in_their_order_at_every_receiver() {
    for seed in 1..=6 {
        interleave(seed, 1).await;
        interleave(seed, 3).await;
    }
}

#[tokio::test]
async fn on_one_thread_too() {
    interleave(77, 2).await;
}

/// Two tasks on different threads that take turns: what one does before it passes the turn, the other's emits must see.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn operations_ordered_between_tasks_take_effect_in_that_order() {
    let io = Io::builder().shards(2).build();
    let mut client = Client::connect(&io, "/", None).await.unwrap();
    let socket = io.socket(client.id()).unwrap();
    let (turn, mut turns) = tokio::sync::mpsc::channel::<(u32, bool)>(1);
    let (back, mut backs) = tokio::sync::mpsc::channel::<()>(1);
    const ROUNDS: u32 = 2_000;
    let emitter = tokio::spawn({
        let io = io.clone();
        async move {
            while let Some((n, is_in)) = turns.recv().await {
                io.to("r").emit("e", (n, is_in)).unwrap();
                back.send(()).await.unwrap();
            }
        }
    });
    for n in 0..ROUNDS {
        let is_in = n % 2 == 0;
        if is_in {
            socket.join("r")
        } else {
            socket.leave("r")
        }
        turn.send((n, is_in)).await.unwrap();
        backs.recv().await.unwrap();
    }
    drop(turn);
    emitter.await.unwrap();
    for n in (0..ROUNDS).step_by(2) {
        assert_eq!(client.recv_event::<(u32, bool)>("e").await.unwrap(), (n, true));
    }
    socket.emit("end", ()).unwrap();
    assert_eq!(client.recv().await.unwrap().name(), "end");
}

/// Handles of sockets that are gone join rooms while others take their places.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stale_handle_moves_nobody_else() {
    let io = Io::builder().shards(1).build();
    for _ in 0..100 {
        let old = Client::connect(&io, "/", None).await.unwrap();
        let socket = io.socket(old.id()).unwrap();
        let joins: Vec<_> = (0..3)
            .map(|_| {
                let socket = socket.clone();
                tokio::spawn(async move {
                    for _ in 0..200 {
                        socket.join("stale");
                        socket.leave("stale");
                    }
                    socket.join("stale");
                })
            })
            .collect();
        old.cut();
        let new = Client::connect(&io, "/", None).await.unwrap();
        for join in joins {
            join.await.unwrap();
        }
        trunkline_testkit::eventually("the old is gone", || io.socket(socket.id()).is_none()).await;
        socket.join("stale");
        assert_eq!(io.socket(new.id()).unwrap().rooms().len(), 1);
        assert!(io.of("/").rooms().is_empty());
    }
}
