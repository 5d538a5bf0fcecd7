// A number that threads wait on: some microseconds of polling, then sleep in the kernel.
//
// Unlike std::atomic::wait() it can wait for a limited time, and setting it costs no system call while
// nobody sleeps.
#pragma once

#include <atomic>
#include <cstdint>

namespace edgewise {

class WaitWord {
 public:
  uint32_t Get() const { return value_.load(std::memory_order_acquire); }

  // Publishes what was written before, and wakes all who sleep.
  void Set(uint32_t value) {
    value_.store(value, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) != 0) WakeAll();
  }

  // Polls until over(value), about 10 microseconds at most. Whether it was over.
  template <typename Over>
  bool Poll(Over&& over) const {
    for (int i = 0; i < kPolls; ++i) {
      if (over(Get())) return true;
      Pause();
    }
    return over(Get());
  }

  // Sleeps while the value is `old`, at most so long (0: without end); may return early.
  void Sleep(uint32_t old, uint32_t microseconds);

 private:
  // A phase of a small model ends within that; a sleep and wake-up costs 50 microseconds or more.
  // Longer polling only burns the core of a neighbour (5 and 20 times as long: decoding is no faster).
  static constexpr int kPolls = 400;

  static void Pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  void WakeAll();

  std::atomic<uint32_t> value_{0};
  std::atomic<uint32_t> sleepers_{0};
};

}  // namespace edgewise
