#include "model/weight_stream.h"

#include <algorithm>
#include <exception>

namespace edgewise {
namespace {

// Large enough that starting a window costs nothing beside writing it (3 ms at 3 GB/s), small
// enough to stay in a last-level cache.
constexpr uint64_t kWindowBytes = 8 << 20;
// A worker's share at a time: several per worker and window, so that none waits long for another.
constexpr uint64_t kPieceBytes = 256 << 10;

}  // namespace

void WeightStream::Write(uint64_t rows, uint64_t row_bytes, Fill fill) {
  const uint64_t window = std::clamp<uint64_t>(kWindowBytes / row_bytes, 1, rows);
  const uint64_t piece = std::clamp<uint64_t>(kPieceBytes / row_bytes, 1, window);
  for (uint64_t first = 0; first < rows; first += window) {
    const uint64_t count = std::min(window, rows - first);
    computing_.resize(count * row_bytes);
    std::exception_ptr failure;
    pool_.Run([&](Worker& worker) {
      if (worker.index() == 0 && !writing_.empty()) {
        try {
          writer_.Write(writing_);
        } catch (...) {
          failure = std::current_exception();  // a job must not throw
        }
      }
      worker.ForChunks(
          static_cast<uint32_t>(count), static_cast<uint32_t>(piece),
          [&](uint32_t begin, uint32_t end) {
            fill(worker.index(), first + begin,
                 std::span(computing_).subspan(begin * row_bytes, (end - begin) * row_bytes));
          });
    });
    if (failure) std::rethrow_exception(failure);
    std::swap(computing_, writing_);
    bytes_ += count * row_bytes;
    progress_(bytes_);
  }
}

void WeightStream::Flush() {
  writer_.Write(writing_);
  writing_.clear();
}

}  // namespace edgewise
