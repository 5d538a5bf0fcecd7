// Writes tensors whose rows are computed: all threads compute a window of rows while the window
// before is being written, so that neither the disk nor the processor waits, and memory stays at
// two windows whatever the tensor's size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "gguf/writer.h"

namespace edgewise {

class WeightStream {
 public:
  // Called after each window with the bytes computed so far, on the caller's thread.
  using Progress = FunctionRef<void(uint64_t bytes)>;

  // All must outlive the stream, the callable behind `progress` too: name it, pass no temporary.
  // writer.BeginData() must have been called.
  WeightStream(GgufWriter& writer, ThreadPool& pool, Progress progress)
      : writer_(writer), pool_(pool), progress_(progress) {}

  // Computes the bytes of rows [first, first + out.size() / row_bytes); called on several threads
  // at once (worker: 0 .. pool.threads() - 1), must not throw.
  using Fill = FunctionRef<void(int worker, uint64_t first, std::span<std::byte> out)>;

  // Appends the next tensor declared. Throws Error(kIo).
  void Write(uint64_t rows, uint64_t row_bytes, Fill fill);
  // Writes what is still held; does not finish the writer. Throws Error(kIo).
  void Flush();

 private:
  GgufWriter& writer_;
  ThreadPool& pool_;
  Progress progress_;
  std::vector<std::byte> computing_, writing_;
  uint64_t bytes_ = 0;
};

}  // namespace edgewise
