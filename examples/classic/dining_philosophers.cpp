// Dijkstra's dining philosophers: five at a round table, a fork between each two, and each needs both of its forks to
// eat. std::scoped_lock takes several mutexes without the deadlock in which everybody holds the left one.
#include <array>
#include <chrono>
#include <cstdio>
#include <mutex>

#include <gofer/gofer.hpp>

#include "../pace.hpp"

using namespace std::chrono_literals;

int main() {
  constexpr std::array names{"Aristotle", "Kant", "Spinoza", "Marx", "Russell"};
  std::array<gofer::mutex, names.size()> forks;
  gofer::wait_group table;
  for (std::size_t seat = 0; seat < names.size(); ++seat) {
    table.go([&, seat] {
      for (int meal = 1; meal <= 3; ++meal) {
        gofer::sleep_for(pace(10ms));  // thinks
        const std::scoped_lock both(forks[seat], forks[(seat + 1) % forks.size()]);
        std::printf("%s eats meal %d\n", names[seat], meal);
        gofer::sleep_for(pace(10ms));  // eats
      }
      std::printf("%s is done\n", names[seat]);
    });
  }
  table.wait();
  std::printf("The table is empty\n");
}

// Kant eats meal 1
// Marx eats meal 1
// Aristotle eats meal 1
// ...
// Russell is done
// The table is empty
