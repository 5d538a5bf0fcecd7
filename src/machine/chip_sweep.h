// Many designs on one task: every combination of values of a chip's fields, priced on all cores, written to a
// CSV file from which an interrupted sweep goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/chip_search.h"

namespace edgewise {

// Fields that change together, as chip files call them, and their values.
struct SweepAxis {
  std::vector<std::string> fields;
  std::vector<std::string> values;

  std::string name() const;  // "array.rows+array.cols"
};
// "array.rows=8,16,32", "array.rows+array.cols+array.depth=8,16" (set together),
// "array.clock_hz=100e6:1e9:100e6" (first, last, step). Throws Error(kUsage) for an unknown field, no value,
// a value that the field cannot have, a range that ends before it begins; Error(kLimit) for too many values.
SweepAxis ParseSweepAxis(std::string_view text);

struct SweepPlan {
  std::vector<ChipDesign> bases;  // each is varied
  std::vector<SweepAxis> axes;    // the last changes fastest
  Task task;                      // its tokens count
  std::string task_name;
  AttentionOn attention = AttentionOn::kChip;

  // Bases times values. Throws Error(kUsage) for a plan without a base or with a field in two axes,
  // Error(kLimit) beyond kMostSweepDesigns.
  uint64_t designs() const;
  // The name of the base, then the values of all axes of the design of this number.
  std::vector<std::string> SettingsOf(uint64_t number) const;
  // Not checked.
  ChipDesign DesignOf(uint64_t number) const;
  // Of everything that decides the results.
  uint64_t Hash() const;
};
inline constexpr uint64_t kMostSweepDesigns = uint64_t{1} << 48;

struct SweepRow {
  uint64_t number = 0;
  double tok_s = 0, joules_token = 0, area_mm2 = 0, utilisation = 0, peak_gops = 0;
  std::string refused;  // why there can be no such design; then all else is zero

  friend bool operator==(const SweepRow&, const SweepRow&) = default;
};
SweepRow PriceDesign(const SweepPlan& plan, uint64_t number);

// Those that no other beats or equals in speed, joules per token and area at once, but for being equal in
// all. In the order given.
std::vector<SweepRow> ParetoFront(std::vector<SweepRow> rows);

struct SweepResult {
  uint64_t designs = 0, refused = 0;
  uint64_t resumed = 0;  // were in the file
  std::string first_refusal;
  bool finished = true;          // false: it was told to stop
  std::vector<SweepRow> front;   // by speed, fastest first
  std::vector<SweepRow> sample;  // of those that are possible, evenly, for a picture
};

struct SweepOptions {
  std::string csv = {};  // "": no file
  int threads = 1;
  uint64_t most_sampled = 4000;
  // Called after each block with the designs that are done; false stops the sweep, which the file continues.
  std::function<bool(uint64_t done)> progress = {};
};

// A file that exists is gone on with: its first line says of which sweep it is, and a half-written last line
// is taken off. Throws Error(kUsage) when it is of another sweep or none, Error(kBadFile) for a line that is
// no row, Error(kIo) when it cannot be read or written.
SweepResult RunSweep(const SweepPlan& plan, const SweepOptions& options);

}  // namespace edgewise
