#include "chip/stream_parts.h"

namespace edgewise::chip {

BeatSource::BeatSource(const ChipDesign& design)
    : latency_(design.latency_cycles),
      cycles_{1, BeatCycles(design, ActivationBeatBytes(design)),
              BeatCycles(design, WeightBeatBytes(design))} {}

void BeatSource::Begin(std::span<const Beat> program, std::span<const BeatRole> roles,
                       std::span<const Stall> stalls) {
  program_ = program;
  roles_ = roles;
  stalls_ = StallCursor(stalls);
  now_ = {0, WaitFor(0) + latency_};
}

void BeatSource::Tick(bool accepted) {
  next_ = now_;
  if (now_.wait > 0) {
    --next_.wait;
  } else if (accepted) {
    next_ = {now_.index + 1, WaitFor(now_.index + 1)};
  }
}

// Of a transfer's cycles the last is the one in which the beat is offered.
uint64_t BeatSource::WaitFor(uint64_t index) {
  if (index >= program_.size()) return 0;
  return cycles_[static_cast<uint32_t>(roles_[index])] - 1 + stalls_.Before(index);
}

void StreamController::Tick(bool accepted, const uint8_t* bytes) {
  next_ = now_;
  command_next_ = command_now_;
  if (!accepted) return;
  if (now_.role == BeatRole::kHeader) {
    const StreamHeader header(bytes);
    const bool mac = header.command == kMac;
    command_next_ = {mac && header.first, mac && header.last, header.count};
    next_ = {mac ? BeatRole::kWeights : BeatRole::kActivations, command_next_.first,
             command_next_.last && header.count == 1, header.rows, header.base};
    return;
  }
  --command_next_.left;
  next_.first = false;
  next_.last = command_now_.last && command_next_.left == 1;
  ++next_.scratch_row;
  if (command_next_.left == 0) next_.role = BeatRole::kHeader;
}

void Drain::Begin(uint64_t rows, std::span<const Stall> stalls) {
  stalls_ = StallCursor(stalls);
  rows_sent_ = 0;
  sent_.clear();
  sent_.reserve(rows * words_);
  now_ = {};
}

void Drain::Tick(uint32_t rows, bool captured, const uint32_t* results) {
  next_ = now_;
  if (rows > 0) {
    next_.rows = rows;
    next_.row = 0;
  }

  // 1. The first row is on its way once all have been captured.
  if (captured) {
    next_.sending = true;
    next_.wait = WaitForRow();
  }
  sending_ = next_.sending;
  if (!sending_ || --next_.wait > 0) return;

  // 2. A row has left.
  const uint32_t* row = results + size_t{next_.row} * words_;
  sent_.insert(sent_.end(), row, row + words_);
  ++rows_sent_;
  if (++next_.row < next_.rows) {
    next_.wait = WaitForRow();
  } else {
    next_ = {.tiles = now_.tiles + 1};
  }
}

}  // namespace edgewise::chip
