// gofer-queue: what operators do with the queue of a gofer::nats_pool.

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gofer/gofer.hpp>
#include <gofer/nats_queue.hpp>

#include "report.hpp"

namespace {

using queue::json;

constexpr int wrong_use = 2;

struct options {
  std::string pool = "pool";
  gofer::nats_options server;
  bool as_json = false;
  bool watch = false;
  double over = 1;  // seconds between two looks
  std::uint64_t from = 0;
  std::size_t limit = 100;
  std::vector<std::uint64_t> numbers;
  bool all = false;
};

using command = std::function<int(gofer::nats_queue&)>;

void print(const json& value) { fmt::print("{}\n", value.dump(-1, ' ', false, json::error_handler_t::replace)); }

int show_status(gofer::nats_queue& q, const options& o) {
  const auto signals = gofer::notify_signals({SIGINT, SIGTERM});
  const bool in_place = o.watch && !o.as_json && ::isatty(STDOUT_FILENO) == 1;
  gofer::nats_queue_status before = q.status();
  auto looked = std::chrono::steady_clock::now();
  do {
    const auto pause = std::chrono::duration<double>(o.over);
    std::optional<int> interrupted;
    signals.receive_for(interrupted, pause);
    if (interrupted) break;
    const gofer::nats_queue_status now = q.status();
    const auto at = std::chrono::steady_clock::now();
    const queue::rates r = queue::rates_between(before, now, std::chrono::duration<double>(at - looked).count());
    if (o.as_json) {
      print(queue::to_json(now, r));
    } else {
      if (in_place) fmt::print("\033[H\033[J");
      fmt::print("{}", queue::table(now, r));
    }
    std::fflush(stdout);
    before = now;
    looked = at;
  } while (o.watch);
  return 0;
}

int list_dead(gofer::nats_queue& q, const options& o) {
  const std::vector<gofer::nats_dead_letter> letters = q.dead(o.from, o.limit);
  if (o.as_json) {
    json all = json::array();
    for (const auto& letter : letters) all.push_back(queue::to_json(letter));
    print(all);
    return 0;
  }
  fmt::print("{}", queue::table(letters));
  if (letters.size() == o.limit) {
    fmt::print("There may be more: --from {}\n", letters.back().sequence + 1);
  }
  return 0;
}

int show_dead(gofer::nats_queue& q, const options& o) {
  int code = 0;
  for (const std::uint64_t number : o.numbers) {
    const auto letter = q.dead_letter(number);
    if (!letter) {
      fmt::print(stderr, "gofer-queue: there is no dead letter {}\n", number);
      code = 1;
    } else if (o.as_json) {
      print(queue::to_json(*letter));
    } else {
      fmt::print("{}", queue::text(*letter));
    }
  }
  return code;
}

/// Of the dead letters that are there now: a task that is tried again may be back before the last one is.
std::vector<std::uint64_t> all_numbers(gofer::nats_queue& q) {
  std::vector<std::uint64_t> numbers;
  for (auto some = q.dead(0, 100); !some.empty(); some = q.dead(numbers.back() + 1, 100)) {
    for (const auto& letter : some) numbers.push_back(letter.sequence);
  }
  return numbers;
}

/// Does it to the letters named, or to all of them.
int treat(gofer::nats_queue& q, const options& o, const char* done, bool (gofer::nats_queue::*what)(std::uint64_t)) {
  std::uint64_t count = 0;
  int code = 0;
  const auto one = [&](std::uint64_t number) {
    if ((q.*what)(number)) {
      ++count;
      return;
    }
    fmt::print(stderr, "gofer-queue: there is no dead letter {}\n", number);
    code = 1;
  };
  for (const std::uint64_t number : o.all ? all_numbers(q) : o.numbers) one(number);
  if (o.as_json) {
    print({{done, count}});
  } else {
    fmt::print("{} {}\n", count, done);
  }
  return code;
}

int flag(gofer::nats_queue& q, const options& o, bool paused) {
  paused ? q.pause() : q.resume();
  if (o.as_json) {
    print({{"paused", paused}});
  } else {
    fmt::print("{}\n", paused ? "Paused: workers finish what they have taken, and take no more until `resume`."
                              : "Resumed: workers take tasks again.");
  }
  return 0;
}

void add_options(CLI::App& app, options& o) {
  app.add_option("-p,--pool", o.pool, "The pool's name")->capture_default_str();
  app.add_option("-s,--server", o.server.servers, "Where the servers are, with commas between them")
      ->envname("NATS_URL")
      ->capture_default_str();
  app.add_flag("--json", o.as_json, "Write JSON, for programs");
  app.add_option("--user", o.server.user, "Who we are to the servers")->envname("NATS_USER");
  app.add_option("--password", o.server.password, "... and our password; better given by the environment")
      ->envname("NATS_PASSWORD");
  app.add_option("--token", o.server.token, "Or a token; better given by the environment")->envname("NATS_TOKEN");
  app.add_option("--credentials", o.server.credentials_file, "Or a file of credentials")->check(CLI::ExistingFile);
  app.add_option("--nkey", o.server.nkey_seed_file, "Or a file with an NKey's seed")->check(CLI::ExistingFile);
  app.add_flag("--tls", o.server.tls, "Speak TLS");
  app.add_option("--tls-ca", o.server.tls_ca_file, "The authorities to trust (PEM)")->check(CLI::ExistingFile);
  app.add_option("--tls-certificate", o.server.tls_certificate_file, "Our certificate (PEM)")->check(CLI::ExistingFile);
  app.add_option("--tls-key", o.server.tls_key_file, "... and its key (PEM)")->check(CLI::ExistingFile);
}

/// Which CLI::Range lets through.
std::string no_nan(const std::string& text) {
  return std::isnan(std::strtod(text.c_str(), nullptr)) ? "nan is no number" : "";
}

void add_commands(CLI::App& app, options& o, command& chosen) {
  app.require_subcommand(1);
  CLI::App* status = app.add_subcommand("status", "What is queued, running, finished and dead, and how fast");
  status->add_flag("-w,--watch", o.watch, "Go on looking, until Ctrl-C");
  status->add_option("--over", o.over, "Seconds between two looks, for the rates")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0))
      ->check(no_nan);
  status->callback([&] { chosen = [&](gofer::nats_queue& q) { return show_status(q, o); }; });

  CLI::App* dead = app.add_subcommand("dead", "Tasks that will not be tried again");
  dead->require_subcommand(1);
  CLI::App* list = dead->add_subcommand("list", "All of them, oldest first");
  list->add_option("--from", o.from, "Begin with this number");
  list->add_option("--limit", o.limit, "At most so many")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  list->callback([&] { chosen = [&](gofer::nats_queue& q) { return list_dead(q, o); }; });
  CLI::App* show = dead->add_subcommand("show", "One with its payload");
  show->add_option("number", o.numbers, "As in the list")->required();
  show->callback([&] { chosen = [&](gofer::nats_queue& q) { return show_dead(q, o); }; });
  const auto of_some = [&](CLI::App* sub, const char* done, bool (gofer::nats_queue::*what)(std::uint64_t)) {
    auto* numbers = sub->add_option("number", o.numbers, "As in the list");
    auto* all = sub->add_flag("--all", o.all, "All that there are");
    numbers->excludes(all);
    sub->callback([&o, &chosen, done, what] {
      if (!o.all && o.numbers.empty()) throw CLI::ValidationError("name some numbers, or --all");
      chosen = [&o, done, what](gofer::nats_queue& q) { return treat(q, o, done, what); };
    });
  };
  of_some(dead->add_subcommand("retry", "Submit them again"), "retried", &gofer::nats_queue::retry);
  of_some(dead->add_subcommand("drop", "Remove them for good"), "dropped", &gofer::nats_queue::drop);

  app.add_subcommand("pause", "Workers take no more tasks")->callback([&] {
    chosen = [&](gofer::nats_queue& q) { return flag(q, o, true); };
  });
  app.add_subcommand("resume", "They take tasks again")->callback([&] {
    chosen = [&](gofer::nats_queue& q) { return flag(q, o, false); };
  });
}

int run(int argc, char** argv) {
  options o;
  command chosen;
  CLI::App app("Looks after the queue of a gofer::nats_pool.");
  app.name("gofer-queue");
  add_options(app, o);
  add_commands(app, o, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : wrong_use;
  }
  try {
    gofer::nats_queue q(o.pool, o.server);
    return chosen(q);
  } catch (const std::invalid_argument& e) {
    fmt::print(stderr, "gofer-queue: {}\n", e.what());
    return wrong_use;
  } catch (const std::exception& e) {
    fmt::print(stderr, "gofer-queue: {}\n", e.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return gofer::run([&] { return run(argc, argv); });
}
