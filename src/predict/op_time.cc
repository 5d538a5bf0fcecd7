#include "predict/op_time.h"

#include <algorithm>
#include <span>
#include <string>

#include "base/error.h"
#include "machine/chip_cost.h"
#include "quant/kv_type.h"

namespace edgewise {
namespace {

double AsDouble(Bytes bytes) { return static_cast<double>(bytes.value()); }
double AsDouble(Flops flops) { return static_cast<double>(flops.value()); }

// Of the rates for a type, that of so many rows: the one that holds there, else the nearest.
template <typename Rate>
const Rate* FindRate(const std::vector<Rate>& rates, DType type, uint32_t rows) {
  const Rate* best = nullptr;
  uint32_t distance = 0;
  for (const Rate& rate : rates) {
    if (rate.type != type) continue;
    const uint32_t away = rows < rate.least_rows  ? rate.least_rows - rows
                          : rows > rate.most_rows ? rows - rate.most_rows
                                                  : 0;
    if (best == nullptr || away < distance) best = &rate, distance = away;
  }
  return best;
}

std::string ThreadsOf(const std::vector<TeamRate>& teams) {
  std::vector<uint32_t> threads;
  for (const TeamRate& team : teams) threads.push_back(team.threads);
  std::ranges::sort(threads);
  std::string text;
  for (const uint32_t count : threads) text += StrCat(text.empty() ? "" : ", ", count);
  return text;
}

void CheckTypes(const Device& device, const Model& model) {
  for (const TeamRate& team : device.teams) {
    for (const Weight& weight : model.weights()) {
      const bool looked_up = &weight == &model.weight(model.embedding()) && !model.tied_output();
      if (weight.rows == 1 || looked_up || FindRate(team.products, weight.type, 1) != nullptr) continue;
      throw Error(ErrorCode::kUsage,
                  StrCat(device.name, ": products with ", NameOf(weight.type), " weights (", weight.name,
                         ") were not measured with ", team.threads, " threads: measure this type too"));
    }
  }
}

// f(sequence, how many of the step's sequences in a row cost the same): those of a batch are priced once.
template <typename F>
void ForEachKind(const Step& step, F&& f) {
  for (size_t i = 0, end; i < step.sequences.size(); i = end) {
    const Sequence& first = step.sequences[i];
    for (end = i + 1; end < step.sequences.size(); ++end) {
      if (step.sequences[end].rows != first.rows || step.sequences[end].kv_len != first.kv_len) break;
    }
    f(first, static_cast<uint32_t>(end - i));
  }
}

// Of the cache that an operator reads, each byte once: blocks of query rows read it again from memory, but it
// need not come over a link again for them.
double VisibleCacheBytes(const Op& op, const Step& step) {
  if (op.kind != OpKind::kAttention) return 0;
  const AttentionShape& a = op.attention;
  double positions = 0;
  for (const Sequence& s : step.sequences) {
    positions += static_cast<double>(s.kv_len) + s.rows - FirstVisible(s.kv_len, a.window);
  }
  return positions * a.kv_heads *
         static_cast<double>(KvRowBytes(a.k_type, a.head_dim) + KvRowBytes(a.v_type, a.head_dim));
}

// A chip's closed form says how much of the time the array works; whatever is moved meanwhile is hidden. So
// the longer of the two parts takes all of it.
OpTime TimeOf(const ChipDesign& design, const ChipCost& cost) {
  const auto seconds = [&](uint64_t cycles) { return static_cast<double>(cycles) / design.clock_hz; };
  const double all = seconds(cost.cycles), compute = seconds(cost.phases.compute);
  OpTime time = compute >= all - compute ? OpTime::Overlapping(all - compute, all)
                                         : OpTime::Overlapping(all, compute);
  time.Add(TimeBound::kOverhead, seconds(cost.phases.host)).Add(TimeBound::kLink, cost.link_s);
  time.joules = cost.joules.total();
  return time;
}

}  // namespace

const char* NameOf(TimeBound bound) {
  static constexpr std::array<const char*, kTimeBounds> kNames = {"memory", "compute", "overhead",
                                                                  "paging", "link"};
  return kNames[static_cast<size_t>(bound)];
}

OpTime OpTime::Overlapping(double memory_s, double compute_s) {
  OpTime time;
  time.memory_s = memory_s;
  time.compute_s = compute_s;
  return time.Add(memory_s >= compute_s ? TimeBound::kMemory : TimeBound::kCompute,
                  std::max(memory_s, compute_s));
}

OpTime& OpTime::Add(TimeBound bound, double seconds) {
  spent_s[static_cast<size_t>(bound)] += seconds;
  return *this;
}

double OpTime::seconds() const {
  double sum = 0;
  for (const double part : spent_s) sum += part;
  return sum;
}

TimeBound OpTime::bound() const {
  return static_cast<TimeBound>(std::ranges::max_element(spent_s) - spent_s.begin());
}

OpTime& OpTime::operator+=(const OpTime& other) {
  memory_s += other.memory_s;
  compute_s += other.compute_s;
  for (size_t i = 0; i < kTimeBounds; ++i) spent_s[i] += other.spent_s[i];
  joules += other.joules;
  return *this;
}

OpTime OpTime::operator*(double times) const {
  OpTime product = *this;
  product.memory_s *= times;
  product.compute_s *= times;
  for (double& part : product.spent_s) part *= times;
  product.joules *= times;
  return product;
}

OpPricer::OpPricer(const Device& device, const Model& model, const PriceOptions& options)
    : device_(device), model_(model), options_(options) {
  EDGEWISE_CHECK(options.resident_share >= 0 && options.resident_share <= 1);
  EDGEWISE_CHECK(options.resident_share == 1 || device.host_bytes_s || device.storage_bytes_s);
  EDGEWISE_CHECK(options.resident_kv >= 0 && options.resident_kv <= 1);
  EDGEWISE_CHECK(options.resident_kv == 1 || device.host_bytes_s);
  if (device.is_measured()) {
    CheckTypes(device, model);
    ChooseTeams(options.threads);
  } else if (!device.chip && device.kind == DeviceKind::kCpu && device.cores > 0) {
    threads_ = options.threads == 0 ? device.cores : std::min(options.threads, device.cores);
  }
}

void OpPricer::ChooseTeams(uint32_t threads) {
  const std::vector<TeamRate>& teams = device_.teams;
  if (threads == 0) {  // whoever decodes a token fastest, as far as its products go
    Step step;
    const Sequence token = {.rows = 1, .logit_rows = 1};
    BuildStep(model_, DType::kF16, DType::kF16, {&token, 1}, step);
    double best = 0;
    for (const TeamRate& team : teams) {
      double seconds = 0;
      for (const Op& op : step.ops) {
        if (op.kind != OpKind::kMatMul) continue;
        seconds += PriceOnTeam(team, op, CostOf(model_, op, step), step).seconds();
      }
      if (fewer_ == nullptr || seconds < best) fewer_ = &team, best = seconds;
    }
    more_ = fewer_;
    threads_ = fewer_->threads;
    return;
  }
  for (const TeamRate& team : teams) {
    if (team.threads <= threads && (fewer_ == nullptr || team.threads > fewer_->threads)) fewer_ = &team;
    if (team.threads >= threads && (more_ == nullptr || team.threads < more_->threads)) more_ = &team;
  }
  if (fewer_ == nullptr || more_ == nullptr) {
    throw Error(ErrorCode::kUsage, StrCat(device_.name, " was measured with ", ThreadsOf(teams),
                                          " threads, which says nothing of ", threads,
                                          ": take one of these, or measure that too"));
  }
  threads_ = threads;
  if (fewer_ == more_) return;
  // a + b / threads goes through both.
  const auto inverse = [](uint32_t n) { return 1.0 / n; };
  share_of_fewer_ = (inverse(threads) - inverse(more_->threads)) /
                    (inverse(fewer_->threads) - inverse(more_->threads));
}

OpTime OpPricer::Price(const Op& op, const Step& step) const {
  return Price(op, CostOf(model_, op, step), step);
}

OpTime OpPricer::Price(const Op& op, const OpCost& cost, const Step& step) const {
  OpTime time;
  if (device_.is_measured()) {
    time = PriceOnTeam(*more_, op, cost, step);
    if (fewer_ != more_) {
      const OpTime fewer = PriceOnTeam(*fewer_, op, cost, step);
      time = OpTime::Overlapping(Blend(fewer.memory_s, time.memory_s),
                                 Blend(fewer.compute_s, time.compute_s));
    }
  } else if (device_.chip) {
    time = PriceOnChip(*device_.chip, op, step);
  } else {
    time = PriceOnPeaks(op, cost);
  }
  const double missing = (1 - options_.resident_share) * AsDouble(cost.weight_bytes);
  const double missing_kv = (1 - options_.resident_kv) * VisibleCacheBytes(op, step);
  if (device_.host_bytes_s) {
    time.Add(TimeBound::kLink, (missing + missing_kv) / device_.host_bytes_s->value);
  } else if (missing > 0) {
    time.Add(TimeBound::kPaging, missing / device_.storage_bytes_s->value);
  }
  return time;
}

OpTime OpPricer::PriceOnTeam(const TeamRate& team, const Op& op, const OpCost& cost,
                             const Step& step) const {
  if (op.kind == OpKind::kAttention) return AttentionOnTeam(team, op, step);
  if (op.kind == OpKind::kMatMul) {
    const ProductRate& rate = *FindRate(team.products, op.weight, op.m);
    const double weights = static_cast<double>(op.n) * op.k;
    return OpTime::Overlapping(
        AsDouble(cost.weight_bytes) / (team.read_bytes_s.value * rate.memory_share),
        weights * (rate.unpack_s + op.m * rate.mac_s) + static_cast<double>(op.n) * op.m * rate.each_s);
  }
  if (team.element_bytes_s == 0) return {};
  const Bytes moved = cost.weight_bytes + cost.kv_write + cost.activation_bytes;
  return OpTime::Overlapping(AsDouble(moved) / team.element_bytes_s, 0);
}

OpTime OpPricer::AttentionOnTeam(const TeamRate& team, const Op& op, const Step& step) const {
  const AttentionShape& a = op.attention;
  const auto rate_of = [&](DType type, uint32_t rows) -> const AttentionRate& {
    const AttentionRate* rate = FindRate(team.attention, type, rows);
    if (rate != nullptr) return *rate;
    throw Error(ErrorCode::kUsage,
                StrCat(device_.name, ": attention over a ", NameOf(type), " cache was not measured with ",
                       team.threads, " threads: measure this type too"));
  };
  const double k_bytes = static_cast<double>(KvRowBytes(a.k_type, a.head_dim));
  const double v_bytes = static_cast<double>(KvRowBytes(a.v_type, a.head_dim));
  OpTime sum;
  ForEachKind(step, [&](const Sequence& sequence, uint32_t count) {
    const OpCost cost = AttentionCost(op, sequence);
    const uint32_t sharing = std::min(sequence.rows, kQueryBlock) * (a.heads / a.kv_heads);
    const AttentionRate& k = rate_of(a.k_type, sharing);
    const AttentionRate& v = rate_of(a.v_type, sharing);
    const double pieces =
        static_cast<double>(a.kv_heads) * ((sequence.rows + kQueryBlock - 1) / kQueryBlock);
    const double k_read = AsDouble(cost.kv_read) * k_bytes / (k_bytes + v_bytes);
    const double v_read = AsDouble(cost.kv_read) - k_read;
    const double k_values = k_read / k_bytes * a.head_dim, v_values = v_read / v_bytes * a.head_dim;
    // A multiply-add with a key and one with a value are what a rate counts as one.
    const double pairs = AsDouble(cost.flops) / 4;
    const OpTime one = OpTime::Overlapping(
        (k_read / k.memory_share + v_read / v.memory_share) / team.read_bytes_s.value,
        k_values * k.unpack_s + v_values * v.unpack_s + pairs * (k.mac_s + v.mac_s) / 2 +
            pieces * (k.each_s + v.each_s) / 2);
    sum += one * count;
  });
  return sum;
}

OpTime OpPricer::PriceOnPeaks(const Op& op, const OpCost& cost) const {
  const Efficiency& e = options_.efficiency;
  const Bytes moved = cost.weight_bytes + cost.kv_read + cost.kv_write + cost.activation_bytes;
  const double memory_s = AsDouble(moved) / (device_.memory_bytes_s.value * e.memory_share);
  double compute_s = 0;
  if (op.kind == OpKind::kMatMul || op.kind == OpKind::kAttention) {
    // Attention unpacks its cache to floats.
    const DType type = op.kind == OpKind::kMatMul ? op.weight : DType::kF16;
    const double share = threads_ > 0 ? static_cast<double>(threads_) / device_.cores : 1;
    const double mac_s = 2 / (ArithmeticPeak(device_, type) * share * e.compute_share);
    if (op.kind == OpKind::kMatMul) {
      const double first_s = 2 / (OneRowPeak(device_, type) * share * e.decode_share);
      compute_s = static_cast<double>(op.n) * op.k * (first_s + (op.m - 1) * std::min(mac_s, first_s));
    } else {
      compute_s = AsDouble(cost.flops) / 2 * mac_s;
    }
  }
  return OpTime::Overlapping(memory_s, compute_s).Add(TimeBound::kOverhead, e.op_s);
}

// Norms, rotation and element-wise work stay on the chip's host, where nobody says how long they take: under
// 0.1% of the operations of any model here.
OpTime OpPricer::PriceOnChip(const ChipDesign& design, const Op& op, const Step& step) const {
  if (op.kind == OpKind::kMatMul) {
    return TimeOf(design, PriceProduct(design, {op.m, op.n, op.k}));
  }
  if (op.kind != OpKind::kAttention) return {};
  const AttentionShape& a = op.attention;
  OpTime sum;
  ForEachKind(step, [&](const Sequence& s, uint32_t count) {
    if (design.host_macs_s > 0) {
      sum += OpTime::Overlapping(0, AsDouble(AttentionCost(op, s).flops) / 2 / design.host_macs_s) * count;
      return;
    }
    // Two products per KV head, masked positions too (graph/workload.h).
    const uint64_t rows = uint64_t{s.rows} * (a.heads / a.kv_heads);
    uint64_t positions = uint64_t{s.kv_len} + s.rows;
    if (a.window > 0) positions = std::min(positions, uint64_t{a.window} + s.rows - 1);
    sum += TimeOf(design, PriceProduct(design, {rows, positions, a.head_dim, a.kv_heads})) * count;
    sum += TimeOf(design, PriceProduct(design, {rows, a.head_dim, positions, a.kv_heads})) * count;
  });
  return sum;
}

double OpPricer::phase_s() const {
  return fewer_ == nullptr ? 0 : Blend(fewer_->phase_s, more_->phase_s);
}

double OpPricer::step_s() const {
  return fewer_ == nullptr ? 0 : Blend(fewer_->step_s, more_->step_s);
}

uint32_t PhasesOf(const Step& step) {
  uint32_t phases = 0;
  for (const Group& group : step.groups) {
    const auto ops = std::span(step.ops).subspan(group.first, group.count);
    const auto product = std::ranges::find(ops, OpKind::kMatMul, &Op::kind);
    phases += product != ops.end() && product->m > 1 ? 2 : 1;
  }
  return phases;
}

StepTime PriceStep(const OpPricer& pricer, const Step& step) {
  StepTime time;
  time.ops.reserve(step.ops.size());
  for (const Op& op : step.ops) {
    time.ops.push_back(pricer.Price(op, step));
    time.by_role[static_cast<size_t>(op.role)] += time.ops.back();
    time.total += time.ops.back();
  }
  time.total.Add(TimeBound::kOverhead, PhasesOf(step) * pricer.phase_s() + pricer.step_s());
  return time;
}

}  // namespace edgewise
