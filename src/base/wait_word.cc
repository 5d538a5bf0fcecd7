#include "base/wait_word.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace edgewise {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));

void WaitWord::Sleep(uint32_t old, uint32_t microseconds) {
  const timespec limit = {.tv_sec = microseconds / 1'000'000,
                          .tv_nsec = long{microseconds % 1'000'000} * 1000};
  // In this order with Set(): either it sees a sleeper, or the kernel sees the new value.
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, old, microseconds == 0 ? nullptr : &limit);
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

void WaitWord::WakeAll() { syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, INT_MAX); }

}  // namespace edgewise
