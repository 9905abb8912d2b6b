//! What the media thread asks of the kernel: to be woken, and to be preferred.
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Low among the real-time priorities: below the sound system's own threads.
const PRIORITY: libc::c_int = 5;

/// Wakes the media thread from any other one.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    pub fn new() -> io::Result<Self> {
        // SAFETY: a plain call; the descriptor it returns is owned by nobody else.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: eight octets are given. The write fails only when a wake-up is pending for ages.
        unsafe { libc::write(self.fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Takes the wake-ups so far.
    pub fn clear(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: eight octets of room are given; nothing pending is no error here.
        unsafe { libc::read(self.fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Sleeps until a descriptor is ready or `until` has come. The deadline is absolute, so that delays do not add up;
/// handing it over as the rest of the time saves the system calls a timer descriptor needs.
pub fn wait(descriptors: &mut [libc::pollfd], until: Option<Instant>) {
    let rest = until.map(|at| at.saturating_duration_since(Instant::now()).min(Duration::from_secs(86_400)));
    let time = rest.map(|rest| libc::timespec { tv_sec: rest.as_secs() as _, tv_nsec: rest.subsec_nanos() as _ });
    let pointer = time.as_ref().map_or(std::ptr::null(), |time| &raw const *time);
    // SAFETY: the descriptors are given with their count; `time` outlives the call; no signal mask is set.
    let ready =
        unsafe { libc::ppoll(descriptors.as_mut_ptr(), descriptors.len() as libc::nfds_t, pointer, std::ptr::null()) };
    if ready < 0 {
        // Interrupted: nothing is known to be ready.
        descriptors.iter_mut().for_each(|d| d.revents = 0);
    }
}

pub fn pollfd(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Asks for first-in-first-out scheduling of the calling thread; threads it starts do not inherit it.
pub fn request_realtime() -> io::Result<()> {
    // SAFETY: an all-zero parameter block is valid, and the call only reads it.
    let result = unsafe {
        let mut parameter: libc::sched_param = zeroed();
        parameter.sched_priority = PRIORITY;
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameter)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_is_seen_once() {
        let waker = Waker::new().expect("a descriptor");
        let mut descriptors = [pollfd(waker.fd())];
        wait(&mut descriptors, Some(Instant::now()));
        assert_eq!(descriptors[0].revents, 0);
        waker.wake();
        waker.wake();
        wait(&mut descriptors, None);
        assert_eq!(descriptors[0].revents, libc::POLLIN);
        waker.clear();
        wait(&mut descriptors, Some(Instant::now()));
        assert_eq!(descriptors[0].revents, 0);
    }
}
