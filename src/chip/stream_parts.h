// The components around the arrays of chips with DMA.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "chip/lower.h"
#include "chip/program.h"
#include "chip/simulation.h"
#include "machine/chip.h"

namespace edgewise::chip {

// A header beat: byte 0 the command, 1 flags, 2-3 rows to drain, 4-5 payload beats, 6-7 scratchpad base.
struct StreamHeader {
  explicit StreamHeader(const uint8_t* bytes)
      : command(bytes[0]),
        first((bytes[1] & kMacFirst) != 0),
        last((bytes[1] & kMacLast) != 0),
        rows(bytes[2] | uint32_t{bytes[3]} << 8),
        count(bytes[4] | uint32_t{bytes[5]} << 8),
        base(bytes[6] | uint32_t{bytes[7]} << 8) {}

  uint8_t command;
  bool first, last;
  uint32_t rows, count, base;
};

enum class BeatRole : uint8_t { kHeader, kActivations, kWeights };

// Fetches beats and offers them, each after the cycles that its transfer takes.
class BeatSource {
 public:
  explicit BeatSource(const ChipDesign& design);
  // roles: of the program's beats.
  void Begin(std::span<const Beat> program, std::span<const BeatRole> roles, std::span<const Stall> stalls);

  void Tick(bool accepted);
  void Commit() { now_ = next_; }
  // Edges at which nothing changes for others while no beat is accepted.
  uint64_t QuietEdges() const { return now_.wait > 0 ? now_.wait : kNever; }
  void Skip(uint64_t edges) {
    if (now_.wait > 0) now_.wait -= edges;
  }

  bool offers() const { return now_.wait == 0 && now_.index < program_.size(); }
  const uint8_t* beat() const { return program_[now_.index].bytes.data(); }
  uint64_t beat_bytes() const { return program_[now_.index].bytes.size(); }
  bool finished() const { return now_.index == program_.size(); }

 private:
  struct State {
    uint64_t index = 0;
    uint64_t wait = 0;  // edges until the beat is offered
  };
  uint64_t WaitFor(uint64_t index);

  const uint32_t latency_;
  const uint64_t cycles_[3];  // of a transfer, by role
  std::span<const Beat> program_;
  std::span<const BeatRole> roles_;
  StallCursor stalls_;
  State now_, next_;
};

// Follows the commands: what the offered beat is, and whether it can be accepted.
class StreamController {
 public:
  struct View {
    BeatRole role;
    bool first, last;  // of a tile's beats of weights
    uint32_t rows, scratch_row;
  };
  View view() const { return now_; }

  // `accepted`: the beat at `bytes` is taken at this edge.
  void Tick(bool accepted, const uint8_t* bytes);
  void Commit() {
    now_ = next_;
    command_now_ = command_next_;
  }

 private:
  struct Command {
    bool first = false, last = false;
    uint32_t left = 0;  // payload beats to come
  };
  View now_{BeatRole::kHeader, false, false, 0, 0}, next_ = now_;
  Command command_now_, command_next_;
};

// Takes the lanes of a beat apart: two's complement, lane l at bit l * bits.
template <typename T>
void Unpack(const uint8_t* bytes, uint32_t lanes, uint32_t bits, T* values) {
  if (bits == 8) {
    for (uint32_t l = 0; l < lanes; ++l) values[l] = static_cast<int8_t>(bytes[l]);
    return;
  }
  for (uint64_t l = 0; l < lanes; ++l) {
    const uint64_t bit = l * bits;
    uint32_t code = 0;
    for (uint32_t b = 0; b < bits; b += 8) code |= uint32_t{bytes[(bit + b) / 8]} << b;
    if (bits < 8) code >>= bit % 8;
    const uint32_t unused = 32 - bits;
    values[l] = static_cast<T>(static_cast<int32_t>(code << unused) >> unused);
  }
}

// Rows of on-chip memory, each as wide as the beats that fill it. Reads are combinational.
template <typename T>
class Scratchpad {
 public:
  Scratchpad(uint64_t rows, uint32_t lanes) : lanes_(lanes), memory_(rows * lanes) {}

  // Writes `values` to `row`, or nothing when null. Both stay put until Commit.
  void Tick(uint32_t row, const T* values) {
    row_ = row;
    values_ = values;
  }
  void Commit() {
    if (values_ != nullptr)
      std::copy_n(values_, lanes_, memory_.begin() + static_cast<ptrdiff_t>(row_) * lanes_);
  }
  const T* row(uint32_t row) const { return &memory_[size_t{row} * lanes_]; }
  uint64_t rows() const { return memory_.size() / lanes_; }

 private:
  uint32_t lanes_;
  std::vector<T> memory_;
  uint32_t row_ = 0;
  const T* values_ = nullptr;
};

// Sends captured results out, a row at a time.
class Drain {
 public:
  Drain(uint32_t words, uint32_t cycles_a_row) : words_(words), cycles_a_row_(cycles_a_row) {}
  void Begin(uint64_t rows, std::span<const Stall> stalls);

  // `rows` > 0: from this edge on the drain belongs to a tile of so many rows. `captured`: all its results
  // had been captured before this edge; they stay where they are until they have left.
  void Tick(uint32_t rows, bool captured, const uint32_t* results);
  void Commit() { now_ = next_; }
  // Edges before the one at which a row has left.
  uint64_t QuietEdges(bool captured) const { return captured ? 0 : now_.sending ? now_.wait - 1 : kNever; }
  void Skip(uint64_t edges) {
    if (now_.sending) now_.wait -= edges;
  }

  bool busy() const { return now_.rows != 0; }  // until the last row has left
  bool sending() const { return sending_; }  // a row was on its way in the latest cycle
  uint64_t tiles() const { return now_.tiles; }  // that have left
  const std::vector<uint32_t>& results() const { return sent_; }

 private:
  struct State {
    uint32_t rows = 0, row = 0;
    bool sending = false;
    uint64_t wait = 0;  // edges until the row has left
    uint64_t tiles = 0;
  };
  uint64_t WaitForRow() { return uint64_t{cycles_a_row_} + stalls_.Before(rows_sent_); }

  const uint32_t words_, cycles_a_row_;
  StallCursor stalls_;
  State now_, next_;
  bool sending_ = false;
  uint64_t rows_sent_ = 0;
  std::vector<uint32_t> sent_;  // seen by nobody until the end
};

}  // namespace edgewise::chip
