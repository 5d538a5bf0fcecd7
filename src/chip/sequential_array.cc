#include "chip/sequential_array.h"

#include <algorithm>

namespace edgewise::chip {

SequentialArray::SequentialArray(const ChipDesign& design)
    : rows_(design.rows),
      cols_(design.cols),
      depth_(design.depth),
      macs_(design.macs),
      start_cycles_(design.start_cycles),
      result_cycles_(design.result_cycles),
      elements_(design.rows * design.cols),
      words_{rows_ * depth_, depth_ * cols_, elements_},
      interlocked_(design.accumulate),
      skip_zeros_(design.zero_skip == ZeroSkip::kElement),
      a_(size_t{rows_} * depth_),
      b_(size_t{depth_} * cols_),
      c_(elements_),
      sums_(elements_),
      pipeline_(result_cycles_ + 1),
      useful_(elements_) {
  Reset();
}

void SequentialArray::Reset() {
  now_ = next_ = {};
  write_ = {};
  clear_ = false;
  for (auto* memory : {&a_, &b_, &c_, &sums_}) std::fill(memory->begin(), memory->end(), 0);
  committed_ = committing_ = elements_;  // nothing is under way
  element_ = elements_;
  std::fill(pipeline_.begin(), pipeline_.end(), elements_);
  ResetCounters();
}

void SequentialArray::ResetCounters() {
  std::fill(useful_.begin(), useful_.end(), 0);
  multiply_adds_ = busy_cycles_ = 0;
}

void SequentialArray::Tick(const Write& write) {
  if (settled() && write.memory != Memory::kControl) {
    computing_ = false;
    write_ = write;
    return;
  }
  next_ = now_;

  // 1. A run begins.
  const bool begins = now_.state == State::kIdle && now_.start;
  if (begins) Begin();

  // 2. The multiply-adds of this cycle; after the last ones the array is done, or idle if it cleared its
  // start.
  computing_ = false;
  if (begins || now_.state == State::kCompute) {
    if (delay_ > 0) {
      --delay_;
    } else if (Multiply()) {
      next_.state = interlocked_ ? State::kIdle : State::kDone;
    }
  }

  // 3. Complete elements move through the result registers into C.
  const auto ring = static_cast<uint32_t>(pipeline_.size());
  pipeline_[pipeline_head_] = element_;
  pipeline_head_ = pipeline_head_ + 1 == ring ? 0 : pipeline_head_ + 1;
  committing_ = pipeline_[pipeline_head_];
  if (next_.in_flight && committing_ == elements_) {
    next_.in_flight = false;
    next_.done = true;
  }

  // 4. A done array waits for start to fall.
  if (now_.state == State::kDone && !now_.start) next_.state = State::kIdle;

  // 5. The bus writes: control here, memories at Commit.
  write_ = write;
  if (write.memory == Memory::kControl) {
    next_.start = (write.data & 1) != 0;
    next_.accumulate = interlocked_ && (write.data & 2) != 0;
    if (next_.start) next_.done = false;
  }
}

// Starts the walk. A restart at the very edge that would write the previous run's last element drops it, as
// clearing comes first.
void SequentialArray::Begin() {
  next_.state = State::kCompute;
  next_.in_flight = true;
  if (interlocked_) next_.start = false;
  clear_ = !now_.accumulate;
  if (now_.accumulate) {
    std::copy(c_.begin(), c_.end(), sums_.begin());
  } else {
    std::fill(sums_.begin(), sums_.end(), 0);
  }
  std::fill(pipeline_.begin(), pipeline_.end(), 0);
  committed_ = 0;
  row_ = col_ = k_ = element_ = 0;
  delay_ = start_cycles_;
}

// One cycle's multiply-adds; true if they were the last.
bool SequentialArray::Multiply() {
  computing_ = true;
  multiply_adds_ += skip_zeros_ ? WalkNonZero(macs_) : Walk(macs_);
  ++busy_cycles_;
  return element_ == elements_;
}

// The next `count` multiply-adds, or those that are left; returns how many.
uint64_t SequentialArray::Walk(uint64_t count) {
  count = std::min(count, MultiplyAddsLeft());
  for (uint64_t left = count; left > 0;) {
    const auto steps = static_cast<uint32_t>(std::min<uint64_t>(left, depth_ - k_));
    const uint32_t* a = &a_[size_t{row_} * depth_ + k_];
    const uint32_t* w = &b_[size_t{k_} * cols_ + col_];
    uint32_t sum = 0, useful = 0;
    for (uint32_t step = 0; step < steps; ++step, w += cols_) {
      sum += a[step] * *w;
      useful += (a[step] != 0) & (*w != 0);
    }
    sums_[element_] += sum;
    useful_[element_] += useful;
    left -= steps;
    k_ += steps;
    if (k_ == depth_) NextElement();
  }
  return count;
}

// Zero weights are skipped: they take no part of a cycle, wherever in the walk they are.
uint64_t SequentialArray::WalkNonZero(uint64_t count) {
  uint64_t done = 0;
  while (element_ < elements_) {
    const uint32_t w = b_[size_t{k_} * cols_ + col_];
    if (w != 0) {
      if (done == count) break;
      ++done;
      const uint32_t a = a_[size_t{row_} * depth_ + k_];
      sums_[element_] += a * w;
      useful_[element_] += a != 0;
    }
    if (++k_ == depth_) NextElement();
  }
  return done;
}

void SequentialArray::NextElement() {
  k_ = 0;
  ++element_;
  if (++col_ == cols_) {
    col_ = 0;
    ++row_;
  }
}

uint64_t SequentialArray::BusyEdges() const {
  if (now_.state != State::kCompute || skip_zeros_) return 0;
  return delay_ + MultiplyAddsLeft() / macs_;
}

void SequentialArray::Skip(uint64_t edges) {
  while (edges > 0) {
    if (settled()) {
      computing_ = false;
      return;
    }
    // Edges in the middle of the walk do nothing but multiply; those behind them fill the result registers.
    const bool walks = now_.state == State::kCompute && delay_ == 0 && !skip_zeros_;
    const uint64_t middle = walks ? std::min(edges, (MultiplyAddsLeft() - 1) / macs_) : 0;
    if (middle > pipeline_.size()) {
      const uint64_t bulk = middle - pipeline_.size();
      multiply_adds_ += Walk(bulk * macs_);
      busy_cycles_ += bulk;
      edges -= bulk;
    } else {
      Tick({});
      Commit();
      --edges;
    }
  }
}

void SequentialArray::Commit() {
  if (write_.memory == Memory::kA) a_[write_.index] = write_.data;
  if (write_.memory == Memory::kB) b_[write_.index] = write_.data;
  if (clear_) {
    std::fill(c_.begin(), c_.end(), 0);
    clear_ = false;
  }
  for (; committed_ < committing_; ++committed_) c_[committed_] = sums_[committed_];
  now_ = next_;
}

uint32_t SequentialArray::Read(Memory memory, uint32_t index) const {
  switch (memory) {
    case Memory::kC: return c_[index];
    case Memory::kControl: return (now_.start && !interlocked_ ? 1 : 0) | (now_.accumulate ? 2 : 0);
    case Memory::kStatus: {
      const bool is_busy = interlocked_ ? busy() : now_.state != State::kIdle;
      const bool is_done = interlocked_ ? now_.done : now_.state == State::kDone;
      return (now_.start ? 1 : 0) | (is_busy ? 2 : 0) | (is_done ? 4 : 0);
    }
    default: return 0;  // A and B are write-only
  }
}

void SequentialArray::Start(bool accumulate) {
  now_.state = State::kIdle;
  now_.start = true;
  now_.accumulate = accumulate;
}

void SequentialArray::Count(std::span<const SequentialArray> arrays, SimCounters& counters) {
  const uint32_t rows = arrays[0].rows_, cols = arrays[0].cols_;
  counters.element_rows = rows;
  counters.element_cols = cols * static_cast<uint32_t>(arrays.size());
  counters.useful.clear();
  for (uint32_t i = 0; i < rows; ++i) {
    for (const SequentialArray& array : arrays) {
      const auto row = array.useful_.begin() + i * cols;
      counters.useful.insert(counters.useful.end(), row, row + cols);
    }
  }
  for (const SequentialArray& array : arrays) {
    counters.busy_cycles = std::max(counters.busy_cycles, array.busy_cycles_);
    counters.multiply_adds += array.multiply_adds_;
  }
}

}  // namespace edgewise::chip
