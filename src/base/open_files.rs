//! Whether files can still be opened, before something is begun that fails badly without them.

/// What a run of `op`, or a client of the engine, opens at the same time: pipes, the event loop and
/// its signals.
const PIPES: usize = 8;

/// Fails where the limit is too low (`ulimit -n`). tokio panics then.
pub(crate) fn enough() -> std::io::Result<()> {
    let pipes = (0..PIPES).map(|_| std::io::pipe());
    pipes.collect::<std::io::Result<Vec<_>>>().map(drop)
}
