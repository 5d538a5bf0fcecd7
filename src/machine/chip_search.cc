#include "machine/chip_search.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <tuple>

#include "base/error.h"
#include "model/shapes.h"

namespace edgewise {
namespace {

constexpr std::array<const char*, 3> kUnitNames = {"tok_s", "rtf", "ms"};

// Cost of a design that has no area constants: its multipliers.
double CostOf(const ChipDesign& design) {
  const double area = ChipArea(design);
  return area > 0 ? area : static_cast<double>(PeakMacs(design)) * design.chips;
}

// A change that makes an array wider may need room for one step of A.
void EnsureScratch(ChipDesign& d) {
  const uint64_t k = d.kind == ArrayKind::kOutputStationary ? 1 : d.depth;
  const uint64_t bits = d.rows * k * ActivationBits(d.datapath);
  d.scratch_words = std::max(d.scratch_words, (bits + d.scratch_word_bits - 1) / d.scratch_word_bits);
}

void UseDma(ChipDesign& d, uint32_t bus_bytes, double memory_bytes_s) {
  d.host = HostInterface::kDma;
  d.accumulate = true;
  d.bus_bytes = bus_bytes;
  d.memory_bytes_s = memory_bytes_s;
  EnsureScratch(d);
}

// ---- the ways to change a chip ----

// NaN is in no range.
void CheckLimit(const char* what, double value, double least, double most) {
  if (value >= least && value <= most) return;
  throw Error(ErrorCode::kUsage,
              StrCat("the limit of ", what, " is ", value, ": it must be ", least, " to ", most));
}

void CheckLimits(const ChangeLimits& limits) {
  CheckLimit("the clock in Hz", limits.clock_hz, 1, 10e9);
  CheckLimit("the memory in bytes a second", limits.memory_bytes_s, 1e3, 1e18);
  CheckLimit("dimensions", limits.size, 1, 4096);
  CheckLimit("arrays", limits.arrays, 1, 65536);
  CheckLimit("chips", limits.chips, 1, 4096);
  CheckLimit("tokens at once", static_cast<double>(limits.tokens), 1, 4096);
}

class AxisBuilder {
 public:
  explicit AxisBuilder(std::vector<ChangeAxis>& axes) : axes_(axes) {}

  void Begin(std::string name) { axes_.push_back({std::move(name), {}}); }
  void Add(std::string what, std::function<void(ChipDesign&)> apply, uint64_t tokens = 1) {
    axes_.back().changes.push_back({std::move(what), std::move(apply), tokens});
  }

 private:
  std::vector<ChangeAxis>& axes_;
};

void AddKinds(AxisBuilder& b, const ChipDesign& base, const ChangeLimits& limits) {
  // A bus on which memory is the limit, also when the clock stays as it is.
  const auto bus =
      static_cast<uint32_t>(std::clamp(std::ceil(limits.memory_bytes_s / base.clock_hz), 8.0, 65536.0));
  b.Begin("kind");
  for (const ArrayKind kind :
       {ArrayKind::kVector, ArrayKind::kOutputStationary, ArrayKind::kWeightStationary}) {
    if (kind == base.kind) continue;
    b.Add(StrCat(NameOf(kind), " array with DMA"), [=](ChipDesign& d) {
      d.kind = kind;
      d.macs = 1;
      d.start_cycles = d.result_cycles = 0;
      d.zero_skip = ZeroSkip::kNone;
      d.double_buffer = kind == ArrayKind::kWeightStationary;
      if (kind == ArrayKind::kVector) d.rows = 1;
      UseDma(d, bus, limits.memory_bytes_s);
    });
  }
}

void AddTransfers(AxisBuilder& b, const ChipDesign& base, const ChangeLimits& limits) {
  if (base.host == HostInterface::kAxiLite) {
    b.Begin("DMA");
    for (const uint32_t bytes : {4, 8, 16, 32, 64}) {
      b.Add(StrCat("DMA of ", bytes, " B a cycle, double-buffered"), [=](ChipDesign& d) {
        UseDma(d, bytes, limits.memory_bytes_s);
        d.double_buffer = d.kind == ArrayKind::kSequential || d.kind == ArrayKind::kWeightStationary;
      });
    }
    if (!base.accumulate) {
      b.Begin("sums");
      b.Add("sums along k kept on the chip", [](ChipDesign& d) { d.accumulate = true; });
    }
    return;
  }
  if (base.host != HostInterface::kDma) return;
  const double bus_rate = base.bus_bytes * base.clock_hz;
  const double now = base.memory_bytes_s > 0 ? std::min(base.memory_bytes_s, bus_rate) : bus_rate;
  b.Begin("bandwidth");
  for (double rate = 2 * now; rate <= limits.memory_bytes_s * 1.0001; rate *= 2) {
    const double times = rate / now;
    b.Add(StrCat("memory of ", rate / 1e9, " GB/s"), [=](ChipDesign& d) {
      d.memory_bytes_s = rate;
      d.bus_bytes = static_cast<uint32_t>(std::min(65536.0, std::ceil(d.bus_bytes * times)));
    });
  }
}

void AddArrays(AxisBuilder& b, const ChipDesign& base, const ChangeLimits& limits) {
  b.Begin("size");
  for (uint32_t times = 2; std::max(base.cols, base.depth) * times <= limits.size; times *= 2) {
    const uint32_t rows = base.rows > 1 ? base.rows * times : 1;
    b.Add(StrCat("tiles of ", rows, " x ", base.cols * times, " x ", base.depth * times), [=](ChipDesign& d) {
      if (d.rows > 1) d.rows *= times;
      d.cols *= times;
      d.depth *= times;
      if (d.host == HostInterface::kDma) EnsureScratch(d);
    });
  }
  b.Begin("arrays");
  for (uint64_t arrays = 2 * uint64_t{base.arrays}; arrays <= limits.arrays; arrays *= 2) {
    b.Add(StrCat(arrays, " arrays"), [=](ChipDesign& d) { d.arrays = static_cast<uint32_t>(arrays); });
  }
  if (base.kind == ArrayKind::kVector) {  // so that several tokens share a weight
    b.Begin("rows");
    for (uint64_t rows = 2 * uint64_t{base.rows}; rows <= limits.tokens; rows *= 2) {
      b.Add(StrCat(rows, " rows"), [=](ChipDesign& d) {
        d.rows = static_cast<uint32_t>(rows);
        EnsureScratch(d);
      });
    }
  }
  if (base.kind != ArrayKind::kSequential) return;
  b.Begin("multipliers");
  const uint64_t tile = uint64_t{base.rows} * base.cols * base.depth;
  for (uint64_t macs = 2 * uint64_t{base.macs}; macs <= tile; macs *= 2) {
    const auto times = static_cast<uint32_t>(macs / base.macs);
    // Of an array that no longer is sequential CheckDesign refuses it.
    b.Add(StrCat(macs, " MACs"), [=](ChipDesign& d) { d.macs *= times; });
  }
}

// Narrower weights share the silicon of a wide multiplier: one becomes several, and area and energy of each
// go with the bits of a weight.
void AddPacking(AxisBuilder& b, const ChipDesign& base) {
  b.Begin("packing");
  for (const Datapath path : {Datapath::kInt8, Datapath::kInt4}) {
    if (WeightBits(path) >= WeightBits(base.datapath)) continue;
    const uint32_t lanes = WeightBits(base.datapath) / WeightBits(path);
    b.Add(StrCat(NameOf(path), " weights packed ", lanes, " to one"), [=](ChipDesign& d) {
      d.datapath = path;
      d.mac_um2 /= lanes;
      d.mac_pj /= lanes;
      const uint64_t tile = uint64_t{d.rows} * d.cols * d.depth;
      if (d.kind == ArrayKind::kSequential) {
        d.macs = static_cast<uint32_t>(std::min<uint64_t>(tile, uint64_t{d.macs} * lanes));
      }
    });
  }
}

void AddClocks(AxisBuilder& b, const ChipDesign& base, const ChangeLimits& limits) {
  b.Begin("clock");
  for (const double times : {1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0}) {
    const double hz = base.clock_hz * times;
    if (hz > limits.clock_hz * 1.0001) break;
    b.Add(StrCat("clock of ", hz / 1e6, " MHz"), [=](ChipDesign& d) {
      d.clock_hz = hz;
      d.latency_cycles = static_cast<uint32_t>(std::ceil(d.latency_cycles * times));  // memory stays as it is
    });
  }
}

void AddChips(AxisBuilder& b, const ChipDesign& base, const ChangeLimits& limits) {
  b.Begin("chips");
  for (uint64_t chips = 2 * uint64_t{base.chips}; chips <= limits.chips; chips *= 2) {
    b.Add(StrCat(chips, " chips, linked"), [=](ChipDesign& d) {
      d.chips = static_cast<uint32_t>(chips);
      if (d.link_bytes_s > 0) return;
      d.link_bytes_s = 200e6;  // as compact-4chip: a 32-bit bus at 50 MHz
      d.link_latency_s = 1e-6;
    });
  }
}

// ---- the search ----

// One alternative of some axes, by number, in the order of axes.
struct Choice {
  size_t axis, change;
};

class Search {
 public:
  Search(const ChipDesign& base, const std::function<Task(uint64_t)>& task, const Want& want,
         AttentionOn attention, std::span<const ChangeAxis> axes)
      : base_(base), task_(task), want_(want), attention_(attention), axes_(axes), base_cost_(CostOf(base)) {}

  SearchResult Run() {
    result_.now = SpeedOf(base_, TaskOf(1), want_, attention_);
    result_.fastest = {{}, base_, 1, 1, result_.now};
    std::vector<std::vector<char>> reaches;  // does one change alone?
    for (size_t a = 0; a < axes_.size(); ++a) {
      reaches.emplace_back(axes_[a].changes.size(), 0);
      Best best;
      for (size_t i = 0; i < axes_[a].changes.size(); ++i) {
        reaches[a][i] = Try(best, {{{a, i}}}) ? 1 : 0;
      }
      Keep(best);
    }
    for (size_t a = 0; a < axes_.size(); ++a) {
      for (size_t b = a + 1; b < axes_.size(); ++b) TryPairs(a, b, reaches);
    }
    std::ranges::stable_sort(found_, {}, [](const Found& f) {
      return std::tuple(f.remedy.changes.size(), f.remedy.area_ratio, f.steps);
    });
    for (Found& found : found_) result_.remedies.push_back(std::move(found.remedy));
    return std::move(result_);
  }

 private:
  struct Found {
    Remedy remedy;
    size_t steps = 0;
  };
  using Best = std::optional<Found>;

  void TryPairs(size_t a, size_t b, const std::vector<std::vector<char>>& reaches) {
    Best best;
    for (size_t i = 0; i < axes_[a].changes.size(); ++i) {
      for (size_t j = 0; j < axes_[b].changes.size(); ++j) {
        if (!reaches[a][i] && !reaches[b][j]) Try(best, {{{a, i}, {b, j}}});
      }
    }
    Keep(best);
  }

  // True when the changes reach what is wanted; then `best` is the cheaper of them and what it was.
  bool Try(Best& best, const std::vector<Choice>& choices) {
    Found found;
    Remedy& r = found.remedy;
    r.design = base_;
    for (const Choice& c : choices) {
      const ChangeAxis::Change& change = axes_[c.axis].changes[c.change];
      if (change.apply) change.apply(r.design);
      r.tokens = std::max(r.tokens, change.tokens);
      r.changes.push_back(change.what);
      found.steps += c.change;
    }
    try {
      CheckDesign(r.design);
      r.speed = SpeedOf(r.design, TaskOf(r.tokens), want_, attention_);
    } catch (const Error&) {
      return false;  // changes that do not go together
    }
    ++result_.tried;
    r.area_ratio = CostOf(r.design) / base_cost_;
    if (r.speed.ratio > result_.fastest.speed.ratio) result_.fastest = r;
    if (r.speed.ratio < 1) return false;
    const auto rank = [](const Found& f) { return std::pair(f.remedy.area_ratio, f.steps); };
    if (!best || rank(found) < rank(*best)) best = std::move(found);
    return true;
  }

  void Keep(Best& best) {
    if (best) found_.push_back(std::move(*best));
  }

  const Task& TaskOf(uint64_t tokens) {
    for (const auto& [number, task] : tasks_) {
      if (number == tokens) return task;
    }
    return tasks_.emplace_back(tokens, task_(tokens)).second;
  }

  const ChipDesign& base_;
  const std::function<Task(uint64_t)>& task_;
  const Want& want_;
  AttentionOn attention_;
  std::span<const ChangeAxis> axes_;
  double base_cost_;
  std::vector<std::pair<uint64_t, Task>> tasks_;
  std::vector<Found> found_;
  SearchResult result_;
};

double TokensPerSecond(const ChipDesign& design, const Workload& work, AttentionOn attention) {
  return 1 / PriceWorkload(design, work, attention).seconds();
}

// Weights of 4096 x 4096 layers that `rows` tokens pass in 1 / tok_s seconds for each of them.
double WeightsAt(const ChipDesign& design, uint64_t rows, double tok_s) {
  constexpr double kWeights = 4096.0 * 4096.0;
  const double seconds = PriceProduct(design, {rows, 4096, 4096, 1}).seconds;
  return kWeights / seconds * static_cast<double>(rows) / tok_s;
}

}  // namespace

Want ParseWant(std::string_view text) {
  for (size_t i = 0; i < kUnitNames.size(); ++i) {
    const std::string prefix = StrCat(kUnitNames[i], "=");
    if (!text.starts_with(prefix)) continue;
    const std::string_view number = text.substr(prefix.size());
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc() && end == number.data() + number.size() && value >= 1e-9 && value <= 1e12) {
      return {static_cast<SpeedUnit>(i), value};
    }
    throw Error(ErrorCode::kUsage, StrCat("what is wanted is '", Printable(text), "': ", kUnitNames[i],
                                          " must be a number from 1e-9 to 1e12"));
  }
  throw Error(ErrorCode::kUsage,
              StrCat("what is wanted is '", Printable(text),
                     "': it must be tok_s=N (tokens a second), ms=N (milliseconds) or rtf=N "
                     "(time over duration)"));
}

std::string SpeedText(SpeedUnit unit, double value) {
  std::array<char, 32> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::general, 4);
  const std::string number(digits.data(), end.ptr);
  switch (unit) {
    case SpeedUnit::kTokensPerSecond: return number + " tok/s";
    case SpeedUnit::kRealTimeFactor: return "rtf " + number;
    case SpeedUnit::kMilliseconds: return number + " ms";
  }
  return number;
}

Speed SpeedOf(const ChipDesign& design, const Task& task, const Want& want, AttentionOn attention) {
  if (want.unit == SpeedUnit::kRealTimeFactor && task.media_s == 0) {
    throw Error(ErrorCode::kUsage,
                "a real-time factor (rtf) is wanted of what has no duration: ask for tok_s or ms");
  }
  Speed speed;
  double longest = -1;
  for (const Task::Part& part : task.parts) {
    const WorkloadCost cost = PriceWorkload(design, part.work, attention);
    const double seconds = cost.seconds() * part.times;
    speed.seconds += seconds;
    speed.joules += cost.total.joules.total() * part.times;
    if (seconds > longest) speed.cost = cost.total;
    longest = std::max(longest, seconds);
  }
  switch (want.unit) {
    case SpeedUnit::kTokensPerSecond: speed.value = task.tokens / speed.seconds; break;
    case SpeedUnit::kRealTimeFactor: speed.value = speed.seconds / task.media_s; break;
    case SpeedUnit::kMilliseconds: speed.value = speed.seconds * 1e3; break;
  }
  speed.ratio =
      want.unit == SpeedUnit::kTokensPerSecond ? speed.value / want.value : want.value / speed.value;
  return speed;
}

AttentionOn AttentionNamed(std::string_view name) {
  if (name == "chip") return AttentionOn::kChip;
  if (name == "host") return AttentionOn::kHost;
  if (name == "none") return AttentionOn::kNothing;
  throw Error(ErrorCode::kUsage,
              StrCat("attention is '", Printable(name), "': it must be chip, host or none"));
}

int StarsOf(double ratio) {
  return ratio >= 2 ? 5 : ratio >= 1 ? 4 : ratio >= 0.1 ? 3 : ratio >= 0.01 ? 2 : 1;
}

std::vector<ChangeAxis> ChangesOf(const ChipDesign& base, const ChangeLimits& limits) {
  CheckLimits(limits);
  std::vector<ChangeAxis> axes;
  AxisBuilder b(axes);
  AddKinds(b, base, limits);
  AddTransfers(b, base, limits);
  AddPacking(b, base);
  AddArrays(b, base, limits);
  AddClocks(b, base, limits);
  AddChips(b, base, limits);
  b.Begin("tokens");
  for (uint64_t tokens = 2; tokens <= limits.tokens; tokens *= 2) {
    b.Add(StrCat(tokens, " tokens at once"), nullptr, tokens);
  }
  std::erase_if(axes, [](const ChangeAxis& axis) { return axis.changes.empty(); });
  return axes;
}

SearchResult FindLeastChange(const ChipDesign& design, const std::function<Task(uint64_t tokens)>& task,
                             const Want& want, AttentionOn attention, std::span<const ChangeAxis> axes) {
  return Search(design, task, want, attention, axes).Run();
}

LargestModel FindLargestModel(const ChipDesign& design, double tok_s, AttentionOn attention) {
  LargestModel result;
  std::vector<std::string> names = {"mobilellm-125m"};
  for (const std::string_view name : ShapeNames()) names.emplace_back(name);
  for (const std::string& name : names) {
    const Workload work = WorkloadNamed(name, {});
    result.rows.push_back({name, work.weights(), TokensPerSecond(design, work, attention)});
  }
  std::ranges::sort(result.rows, {}, &LargestModel::Row::weights);
  result.weights_alone = WeightsAt(design, 1, tok_s);
  result.weights_full = WeightsAt(design, design.rows, tok_s);
  return result;
}

}  // namespace edgewise
