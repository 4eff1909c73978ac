#include "exhaustion/failing_allocations.hpp"

#include <execinfo.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include <gofer/go.hpp>

#include "arch/sanitizer.hpp"

namespace {

#if defined(GOFER_ASAN)
constexpr long step = 25;  // of the allocations, so that it takes seconds
#else
constexpr long step = 1;
#endif
constexpr unsigned patience = 30;  // seconds
constexpr std::size_t enough_failures = 5;
constexpr int coped = 0, complained = 1, had_enough = 2;

std::atomic<bool> counting{false};
std::atomic<long> left{0};  // that go well before one fails; below 0: it has
void* failed_at[24];
int failed_depth = 0;

bool fails_now() noexcept {
  if (!counting.load(std::memory_order_relaxed) || left.fetch_sub(1, std::memory_order_relaxed) != 0) return false;
  failed_depth = backtrace(failed_at, std::size(failed_at));
  return true;
}

void* allocated(std::size_t size, std::size_t alignment) {
  if (fails_now()) return nullptr;
  return alignment == 0 ? std::malloc(size) : std::aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
}

void* allocated_or_thrown(std::size_t size, std::size_t alignment) {
  void* memory = allocated(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocated_or_thrown(size, 0); }
void* operator new[](std::size_t size) { return allocated_or_thrown(size, 0); }
void* operator new(std::size_t size, std::align_val_t a) {
  return allocated_or_thrown(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a) {
  return allocated_or_thrown(size, static_cast<std::size_t>(a));
}
void* operator new(std::size_t size, const std::nothrow_t& /*t*/) noexcept { return allocated(size, 0); }
void* operator new[](std::size_t size, const std::nothrow_t& /*t*/) noexcept { return allocated(size, 0); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*size*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t /*a*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t /*a*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*a*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*size*/, std::align_val_t /*a*/) noexcept { std::free(memory); }

namespace test {

failing_allocations::failing_allocations() noexcept { counting.store(true, std::memory_order_relaxed); }
failing_allocations::~failing_allocations() { counting.store(false, std::memory_order_relaxed); }

namespace {

/// Says where the allocation was that failed, for who looks into it.
void tell_where() noexcept {
  constexpr char text[] = "The allocation that failed:\n";
  (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
  backtrace_symbols_fd(failed_at, failed_depth, STDERR_FILENO);
}

/// In the child.
[[noreturn]] void run(void (*scenario)(), long good_ones) {
  for (const int deadly : {SIGABRT, SIGALRM, SIGSEGV}) {
    std::signal(deadly, [](int number) {
      tell_where();
      std::signal(number, SIG_DFL);
      raise(number);
    });
  }
  alarm(patience);
  gofer::yield();  // so that the library knows this thread
  left.store(good_ones, std::memory_order_relaxed);
  try {
    scenario();
  } catch (const std::exception& e) {
    ADD_FAILURE() << "the scenario threw " << e.what();
  }
  counting.store(false, std::memory_order_relaxed);
  const bool failed = left.load(std::memory_order_relaxed) < 0;
  if (testing::Test::HasFailure()) {
    tell_where();
    std::exit(complained);
  }
  std::exit(failed ? coped : had_enough);
}

}  // namespace

long with_each_allocation_failing(void (*scenario)()) {
  std::vector<std::string> failures;  // told at the end: a child has to see its own alone
  long good_ones = 0;
  for (; failures.size() < enough_failures; good_ones += step) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) run(scenario, good_ones);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) throw std::system_error(errno, std::system_category());
    if (WIFEXITED(status) && WEXITSTATUS(status) == coped) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == had_enough) break;
    failures.push_back("with allocation " + std::to_string(good_ones) +
                       " failing: " + (WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it did not cope"));
    std::fprintf(stderr, "^ %s\n", failures.back().c_str());
  }
  for (const std::string& each : failures) ADD_FAILURE() << each;
  return good_ones;
}

}  // namespace test
