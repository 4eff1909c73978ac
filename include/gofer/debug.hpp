#pragma once

namespace gofer::debug {

/// Writes what every fiber is doing to the descriptor `fd`, in plain text: its id and name, whether it runs or since
/// when it waits, in which operation and for whom, where it was started, and, where the library was built with
/// libunwind, its stack. The program goes on meanwhile; what is written is true of each fiber at one moment, not of all
/// at the same. The threads of fibers that run are interrupted with SIGURG, unless the program handles it: system calls
/// that a signal ends early even with SA_RESTART, as poll and nanosleep, may end so in those. May be called from
/// anywhere but a signal handler. Returns when it has been written.
///
/// The signal SIGQUIT (Ctrl-\ at a terminal) does the same to standard error, unless the program handles it.
void dump(int fd);

}  // namespace gofer::debug
