//! A timer that is precise to some tens of microseconds: tokio's own rounds up to a millisecond.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::clock::Clock;
use crate::measure::sample::Offset;

/// Wakes a task at an absolute moment of the run.
///
/// A timer of the kernel (`timerfd`) that the runtime's own event loop waits for together with the
/// sockets: the task that makes requests is woken without another thread that would have to be
/// scheduled first, and a request more costs one system call more. It is not subject to timer slack.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    clock: Clock,
    /// The zero of the run's clock on that of the kernel.
    zero: Duration,
}

impl Alarm {
    /// An alarm on the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// Where the system gives no timer, as when no more files may be opened.
    #[allow(
        deprecated,
        reason = "its successor is an unsafe function, whose condition an `OwnedFd` meets: it keeps its descriptor"
    )]
    pub fn new(clock: Clock) -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        let kernel = clock_gettime(ClockId::Monotonic);
        let kernel = Duration::try_from(kernel).map_err(io::Error::other)?;
        let zero = kernel.saturating_sub(Duration::from_nanos(clock.now().0));
        Ok(Alarm { timer, clock, zero })
    }

    /// Waits until `moment`; returns at once where that is over.
    pub async fn until(&mut self, moment: Offset) -> io::Result<()> {
        while self.clock.now() < moment {
            let at = self.zero + Duration::from_nanos(moment.0);
            let it_value = Timespec::try_from(at).map_err(io::Error::other)?;
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval, it_value };
            // Setting it takes back that it has gone off.
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec)?;
            self.timer.readable_mut().await?.clear_ready();
        }
        Ok(())
    }
}
