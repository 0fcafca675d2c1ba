//! Random use against a model; and what a wait costs.

use super::*;

/// Deterministic numbers (xorshift64*).
struct Prng(u64);

impl Prng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

/// One descriptor of the random test: what is unread, and who should wait.
struct Model {
    ours: UnixStream,
    peer: UnixStream,
    handle: Option<_core::reactor::Handle>,
    unread: bool,
    queues: [Vec<(u32, Key)>; 2],
}

impl Model {
    fn new(reactor: &mut Reactor<u32>, owned: bool) -> Self {
        let (ours, peer) = pair();
        let handle = owned.then(|| reactor.attach(ours.as_raw_fd()).unwrap());
        Self {
            ours,
            peer,
            handle,
            unread: false,
            queues: [Vec::new(), Vec::new()],
        }
    }
}

#[test]
fn random_use_wakes_exactly_the_first_of_each_ready_queue() {
    for seed in 1..=30 {
        let mut random = Prng(seed);
        let mut reactor = reactor();
        let mut models: Vec<Model> = (0..6)
            .map(|index| Model::new(&mut reactor, index % 2 == 0))
            .collect();
        for who in 0..1500 {
            let index = random.below(models.len());
            let model = &mut models[index];
            let fd = model.ours.as_raw_fd();
            match random.below(12) {
                0 | 1 => {
                    model.peer.write_all(b"x").unwrap();
                    model.unread = true;
                }
                2 | 3 => {
                    drain(&model.ours);
                    model.unread = false;
                    if let Some(handle) = model.handle {
                        reactor.clear_ready(handle, R);
                    }
                }
                // What a socket does: wait only after EAGAIN.
                4 | 5 => {
                    if let (Some(handle), false) = (model.handle, model.unread) {
                        reactor.clear_ready(handle, R);
                        let key = reactor.wait(handle, R, who).unwrap().unwrap();
                        model.queues[0].push((who, key));
                    }
                }
                6 => {
                    let key = watch(&mut reactor, fd, who);
                    model.queues[0].push((who, key));
                }
                7 => {
                    let key = parked(reactor.watch(fd, W, who).unwrap());
                    model.queues[1].push((who, key));
                }
                8 => {
                    let queue = &mut model.queues[random.below(2)];
                    if !queue.is_empty() {
                        let (who, key) = queue.remove(random.below(queue.len()));
                        assert_eq!(reactor.unwatch(key), Some(who));
                    }
                }
                9 if random.below(10) == 0 => {
                    let left = reactor.close_fd(fd);
                    let expected = model.queues.iter().flatten().map(|(who, _)| *who);
                    assert!(left.into_iter().eq(expected));
                    *model = Model::new(&mut reactor, random.below(2) == 0);
                }
                10 if random.below(30) == 0 => reactor.rebuild().unwrap(),
                _ => {
                    let mut expected: Woken = Vec::new();
                    for model in &mut models {
                        if model.unread && !model.queues[0].is_empty() {
                            expected.push((model.queues[0].remove(0).0, Ready(R)));
                        }
                        if !model.queues[1].is_empty() {
                            expected.push((model.queues[1].remove(0).0, Ready(W)));
                        }
                    }
                    let mut woken = poll_now(&mut reactor);
                    woken.sort_by_key(|(who, _)| *who);
                    expected.sort_by_key(|(who, _)| *who);
                    assert_eq!(woken, expected, "seed {seed}, step {who}");
                }
            }
            let waiting = |index: usize| models.iter().map(move |model| model.queues[index].len());
            assert_eq!(reactor.readers(), waiting(0).sum::<usize>());
            assert_eq!(reactor.writers(), waiting(1).sum::<usize>());
            assert_eq!(
                reactor.iter().count(),
                reactor.readers() + reactor.writers()
            );
        }
    }
}

/// What do a wait, its event and the wake-up cost? Run with `--release -- --ignored`.
#[test]
#[ignore = "measures, promises nothing"]
fn bench_round_trips() {
    const ROUNDS: u32 = 200_000;
    let (ours, mut peer) = pair();
    let fd = ours.as_raw_fd();
    let mut reactor = reactor();
    let mut out = Vec::new();
    let mut byte = [0];
    let mut measure = |name: &str, wait: &dyn Fn(&mut Reactor<u32>)| {
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            wait(&mut reactor);
            peer.write_all(b"x").unwrap();
            reactor.poll(SOON, &mut out).unwrap();
            assert_eq!((&ours).read(&mut byte).unwrap(), 1);
            out.clear();
        }
        eprintln!(
            "{name}: {} ns a round",
            start.elapsed().as_nanos() / u128::from(ROUNDS)
        );
    };
    measure(
        "foreign",
        &(move |reactor| {
            parked(reactor.watch(fd, R, 1).unwrap());
        }),
    );
    measure(
        "owned",
        &(move |reactor| {
            let handle = reactor.attach(fd).unwrap();
            reactor.clear_ready(handle, R);
            reactor.wait(handle, R, 1).unwrap();
        }),
    );
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        reactor.poll(Some(Duration::ZERO), &mut out).unwrap();
    }
    eprintln!(
        "empty poll: {} ns",
        start.elapsed().as_nanos() / u128::from(ROUNDS)
    );
}
