// One process of a distributed pool, for the tests that kill some: `crew submit`, `crew one-by-one` or `crew work`.
// What tasks do is one mark each in a ledger, a file that all processes map: exactly one effect for each, however often
// it is run.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <ranges>
#include <stdexcept>
#include <string>

#include <gofer/gofer.hpp>
#include <gofer/nats_pool.hpp>

namespace {

struct entry {
  std::atomic<std::uint32_t> effects;
  std::atomic<std::uint32_t> runs;
};

class ledger {
 public:
  ledger(const std::string& file, std::size_t tasks) {
    const int descriptor = ::open(file.c_str(), O_RDWR);
    if (descriptor < 0) throw std::runtime_error("crew: cannot open " + file);
    void* at = ::mmap(nullptr, tasks * sizeof(entry), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ::close(descriptor);
    if (at == MAP_FAILED) throw std::runtime_error("crew: cannot map " + file);
    entries_ = static_cast<entry*>(at);
  }

  /// What a handler does that is run at least once and has its effect once.
  void record(std::size_t task) {
    entries_[task].runs.fetch_add(1);
    std::uint32_t none = 0;
    entries_[task].effects.compare_exchange_strong(none, 1);
  }

  bool has(std::size_t task) const { return entries_[task].effects.load() != 0; }

 private:
  entry* entries_ = nullptr;
};

using arguments = std::map<std::string, std::string>;

std::string text(const arguments& given, const std::string& name, const std::string& otherwise) {
  const auto found = given.find("--" + name);
  return found == given.end() ? otherwise : found->second;
}

long number(const arguments& given, const std::string& name, long otherwise) {
  return std::stol(text(given, name, std::to_string(otherwise)));
}

gofer::nats_pool_options options(const arguments& given) {
  gofer::nats_pool_options o;
  o.name = text(given, "pool", "crew");
  o.server.servers = text(given, "server", o.server.servers);
  o.server.ping_interval = std::chrono::seconds(1);
  o.replicas = static_cast<std::size_t>(number(given, "replicas", 1));
  o.queue_capacity = static_cast<std::size_t>(number(given, "capacity", 200'000));
  o.when_full = text(given, "full", "block") == "reject" ? gofer::overflow::reject : gofer::overflow::block;
  o.min_workers = static_cast<std::size_t>(number(given, "workers", 8));
  o.max_taken = static_cast<std::size_t>(number(given, "taken", 256));
  o.lease = std::chrono::milliseconds(number(given, "lease", 1000));
  o.max_attempts = static_cast<std::size_t>(number(given, "attempts", 1));
  // They are killed often here, and not by tasks.
  o.max_deliveries = static_cast<std::size_t>(number(given, "deliveries", 100));
  o.submit_timeout = std::chrono::seconds(60);
  return o;
}

void submit(const arguments& given) {
  gofer::nats_pool<int> pool(options(given));
  const int first = static_cast<int>(number(given, "first", 0));
  const int tasks = static_cast<int>(number(given, "tasks", 1000));
  const std::string suffix = text(given, "suffix", "");
  bool full = false;
  try {
    pool.submit(std::views::iota(first, first + tasks), [&](int i) { return "task-" + std::to_string(i) + suffix; });
  } catch (const gofer::queue_full&) {
    full = true;
  }
  std::printf("stored\n");
  std::fflush(stdout);
  if (number(given, "drain", 1) != 0) pool.drain();
  const gofer::nats_pool_stats s = pool.stats();
  std::printf(
      "{\"submitted\": %lu, \"duplicates\": %lu, \"rejected\": %lu, \"full\": %s, \"stored\": %lu, \"finished\": %lu, "
      "\"queued\": %lu, \"running\": %lu, \"dead\": %lu}\n",
      s.submitted, s.duplicates, s.rejected, full ? "true" : "false", s.stored, s.finished, s.queued, s.running,
      s.dead);
}

/// Each task when the one before is done, as far as the pool says so.
void one_by_one(const arguments& given) {
  const int tasks = static_cast<int>(number(given, "tasks", 1000));
  const ledger effects(text(given, "ledger", "ledger"), static_cast<std::size_t>(tasks));
  gofer::nats_pool<int> pool(options(given));
  int early = 0;
  for (int i = 0; i < tasks; ++i) {
    pool.submit(i);
    pool.wait_idle();
    if (!effects.has(static_cast<std::size_t>(i))) ++early;
  }
  std::printf("{\"early\": %d}\n", early);
}

void work(const arguments& given) {
  ledger effects(text(given, "ledger", "ledger"), static_cast<std::size_t>(number(given, "tasks", 1000)));
  const auto pause = std::chrono::microseconds(number(given, "pause", 0));
  const long deadly = number(given, "deadly", -1);
  const auto run = [&](int task) {
    if (task == deadly) std::raise(SIGKILL);
    if (pause.count() != 0) gofer::sleep_for(pause);
    effects.record(static_cast<std::size_t>(task));
  };
  gofer::nats_pool<int> pool(run, options(given));
  std::printf("working\n");
  std::fflush(stdout);
  gofer::notify_signals({SIGTERM}).receive();
  number(given, "drain", 1) != 0 ? pool.drain() : pool.stop();
  const gofer::nats_pool_stats s = pool.stats();
  std::printf("{\"completed\": %lu, \"undecodable\": %lu, \"handed_back\": %lu}\n", s.completed, s.undecodable,
              s.handed_back);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  arguments given;
  for (int i = 2; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
  return gofer::run([&] {
    try {
      role == "submit" ? submit(given) : role == "one-by-one" ? one_by_one(given) : work(given);
      return 0;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "crew: %s\n", e.what());
      return 1;
    }
  });
}
