#include <gofer/detail/sync/wait_list.hpp>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sched/fiber.hpp"

namespace gofer::inline v0::sync {

void destroyed_under(const wait_node& first) noexcept {
  if (sched::stopped()) return;
  const std::string_view operation = first.who->reason();
  const std::string_view kind = operation.substr(0, operation.find("::"));
  std::fprintf(stderr, "gofer: a %.*s is destroyed while ", static_cast<int>(kind.size()), kind.data());
  if (const sched::fiber* f = first.who->owner().running) {
    const std::string_view name = f->name();
    std::fprintf(stderr, "fiber %" PRIu64 "%s%.*s%s", f->id.load(std::memory_order_acquire), name.empty() ? "" : " \"",
                 static_cast<int>(name.size()), name.data(), name.empty() ? "" : "\"");
  } else {
    std::fputs("a thread", stderr);
  }
  std::fprintf(stderr, " waits in %.*s; keep it until everybody who uses it has come back\n",
               static_cast<int>(operation.size()), operation.data());
  std::abort();
}

}  // namespace gofer::inline v0::sync
