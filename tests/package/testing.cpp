#include <cstdio>

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

int main() {
  int runs = 0;
  gofer::testing::explore(
      [&] {
        gofer::wait_group two;
        for (int i = 0; i < 2; ++i) two.go([] { gofer::yield(); });
        two.wait();
        ++runs;
      },
      {.schedules = 50});
  std::printf("%s\n", runs > 0 ? "explored" : "nothing");
}
