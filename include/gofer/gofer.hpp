#pragma once

// The core of the library: all but gofer/net.hpp, gofer/http.hpp and gofer/testing.hpp.

#include <gofer/atomic_counter.hpp>
#include <gofer/atomic_value.hpp>
#include <gofer/barrier.hpp>
#include <gofer/call_once.hpp>
#include <gofer/chan.hpp>
#include <gofer/condition_variable.hpp>
#include <gofer/context.hpp>
#include <gofer/counting_semaphore.hpp>
#include <gofer/future.hpp>
#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/mutex.hpp>
#include <gofer/parallel.hpp>
#include <gofer/recursive_mutex.hpp>
#include <gofer/runtime.hpp>
#include <gofer/select.hpp>
#include <gofer/sharded.hpp>
#include <gofer/shared_mutex.hpp>
#include <gofer/task_group.hpp>
#include <gofer/time.hpp>
#include <gofer/wait_group.hpp>
#include <gofer/worker_pool.hpp>
