// The prime sieve of Hoare and McIlroy, as channels: a chain of filters, each of which keeps back the multiples of one
// prime. What comes out of the last one is the next prime.
#include <cstdio>
#include <cstdlib>

#include <gofer/gofer.hpp>

/// 2, 3, 4, ...
gofer::receiver<int> numbers() {
  const gofer::chan<int> out;
  gofer::go([out] {
    for (int i = 2;; ++i) out.send(i);
  });
  return out;
}

gofer::receiver<int> without_multiples(const gofer::receiver<int>& in, int prime) {
  const gofer::chan<int> out;
  gofer::go([in, out, prime] {
    for (const int i : in) {
      if (i % prime != 0) out.send(i);
    }
  });
  return out;
}

int main(int argc, char** argv) {
  const int wanted = argc > 1 ? std::atoi(argv[1]) : 10;
  gofer::receiver<int> candidates = numbers();
  for (int i = 0; i < wanted; ++i) {
    const int prime = candidates.receive().value();
    std::printf("%d\n", prime);
    candidates = without_multiples(candidates, prime);
  }
}  // the fibers, which would go on for ever, end with main

// 2
// 3
// 5
// ...
// 29
