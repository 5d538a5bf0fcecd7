#include "predict/published.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "base/error.h"
#include "base/strings.h"
#include "graph/cost.h"
#include "model/model.h"
#include "model/shapes.h"

namespace edgewise {
namespace {

constexpr size_t kMostField = 400;        // letters
constexpr uint32_t kMostCount = 1 << 20;  // threads, tokens
constexpr uint32_t kUsualPrompt = 512;    // on a CPU, where it is not said

constexpr std::array<std::string_view, 14> kSpeedColumns = {
    "id",     "device",    "variant", "engine",        "shape",    "recipe", "threads",
    "prompt", "generated", "tok_s",   "prefill_tok_s", "unscored", "source", "note"};
constexpr std::array<std::string_view, 3> kEnergyColumns = {"speed", "watts", "where"};

// One table: its data lines cut into fields, and errors that say where.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& file, std::span<const std::string_view> columns)
      : rest_(text), file_(file), columns_(columns) {
    if (text.size() > kMostPublishedBytes) {
      throw Error(ErrorCode::kLimit, StrCat(file, ": longer than ", HumanBytes(kMostPublishedBytes)));
    }
    std::string wanted;
    for (const std::string_view column : columns) wanted += StrCat(wanted.empty() ? "" : ",", column);
    std::string_view header;
    if (!NextText(header) || header != wanted) Fail(StrCat("the first line must be ", wanted));
  }

  // False at the end.
  bool Next() {
    std::string_view text;
    if (!NextText(text)) return false;
    fields_.clear();
    for (size_t start = 0; start <= text.size();) {
      const size_t end = std::min(text.find(',', start), text.size());
      fields_.push_back(text.substr(start, end - start));
      start = end + 1;
    }
    if (fields_.size() != columns_.size()) {
      Fail(StrCat(fields_.size(), " fields, not ", columns_.size(),
                  ": one for each column, no commas in them"));
    }
    for (size_t i = 0; i < fields_.size(); ++i) CheckField(i);
    return true;
  }

  uint32_t line() const { return line_; }
  std::string Text(size_t column) const { return std::string(fields_[column]); }
  std::string Required(size_t column) const {
    if (fields_[column].empty()) Fail(StrCat(columns_[column], " is empty"));
    return Text(column);
  }

  double Real(size_t column, double least, double most) const {
    double value = 0;
    ReadNumber(column, value);
    if (!(value >= least && value <= most)) {
      Fail(StrCat(columns_[column], " is ", value, ": it must be ", least, " to ", most));
    }
    return value;
  }

  uint32_t Count(size_t column) const {
    uint32_t value = 0;
    ReadNumber(column, value);
    if (value > kMostCount) Fail(StrCat(columns_[column], " is ", value, ": at most ", kMostCount));
    return value;
  }

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kBadFile, StrCat(file_, ":", line_, ": ", what));
  }

 private:
  // The next line that counts.
  bool NextText(std::string_view& text) {
    while (!rest_.empty()) {
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      text = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++line_;
      if (text.ends_with('\r')) text.remove_suffix(1);
      if (!text.empty() && text[0] != '#') return true;
    }
    return false;
  }

  void CheckField(size_t column) const {
    const std::string_view field = fields_[column];
    if (field.size() > kMostField) Fail(StrCat(columns_[column], " has more than ", kMostField, " letters"));
    for (const char c : field) {
      if (c < 0x20 || c > 0x7e || c == '"') {
        Fail(StrCat(columns_[column], " has a character that is a quote or not printable ASCII"));
      }
    }
  }

  template <typename Number>
  void ReadNumber(size_t column, Number& value) const {
    const std::string_view field = fields_[column];
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size()) {
      Fail(StrCat(columns_[column], " is '", Printable(field), "': it must be a number"));
    }
  }

  std::string_view rest_;
  const std::string& file_;
  std::span<const std::string_view> columns_;
  std::vector<std::string_view> fields_;
  uint32_t line_ = 0;
};

double AsDouble(Bytes bytes) { return static_cast<double>(bytes.value()); }

[[noreturn]] void FailAt(const std::string& file, uint32_t line, const std::string& what) {
  throw Error(ErrorCode::kBadFile, StrCat(file, ":", line, ": ", what));
}

// Of the device's arithmetic, what the threads that ran have.
double ThreadsShare(const Observation& o) {
  const bool some = o.device.kind == DeviceKind::kCpu && o.row.threads > 0 && o.device.cores > 0;
  return some ? std::min(1.0, static_cast<double>(o.row.threads) / o.device.cores) : 1;
}

void CountDecode(const Model& model, Observation& o) {
  // In the middle of the generation.
  const Sequence sequence = {.rows = 1, .kv_len = o.row.generated / 2, .logit_rows = 1};
  Step step;
  BuildStep(model, DType::kF16, DType::kF16, {&sequence, 1}, step);
  const double share = ThreadsShare(o);
  for (const Op& op : step.ops) {
    const OpCost cost = CostOf(model, op, step);
    o.read_s += AsDouble(cost.weight_bytes + cost.kv_read + cost.kv_write + cost.activation_bytes) /
                o.device.memory_bytes_s.value;
    if (op.kind == OpKind::kMatMul) {
      o.multiply_s += static_cast<double>(cost.flops.value()) / (OneRowPeak(o.device, op.weight) * share);
    }
  }
  o.ops = static_cast<uint32_t>(step.ops.size());
}

// Seconds that the arithmetic takes at the peak, over those that the prompt took. Rows of another size of
// the device have another peak. A prompt of unknown length says nothing of a GPU, which needs hundreds of
// tokens to be busy; a CPU is with a few, and only attention depends on how many, a few percent.
void CountPrefill(const Model& model, Observation& o) {
  if (o.row.prefill_tok_s == 0 || !o.row.variant.empty()) return;
  if (o.row.prompt == 0 && o.device.kind != DeviceKind::kCpu) return;
  const uint32_t prompt = o.row.prompt > 0 ? o.row.prompt : kUsualPrompt;
  const Sequence sequence = {.rows = prompt, .logit_rows = 1};
  Step step;
  BuildStep(model, DType::kF16, DType::kF16, {&sequence, 1}, step);
  double seconds = 0;
  for (const Op& op : step.ops) {
    if (op.kind != OpKind::kMatMul && op.kind != OpKind::kAttention) continue;
    const DType type = op.kind == OpKind::kMatMul ? op.weight : DType::kF16;
    seconds += static_cast<double>(CostOf(model, op, step).flops.value()) / ArithmeticPeak(o.device, type);
  }
  o.prefill_share = seconds / ThreadsShare(o) * o.row.prefill_tok_s / prompt;
}

Observation Observe(PublishedSpeed row, const std::string& file, PublishedTable::DeviceOf device_of) {
  Observation o;
  o.row = std::move(row);
  o.seconds = 1 / o.row.tok_s;
  o.bits = BitClassOf(*FindRecipe(o.row.recipe));
  try {
    o.device = device_of(o.row.device);
    const Model model = Model::FromShape(ShapeNamed(o.row.shape), o.row.recipe);
    CountDecode(model, o);
    CountPrefill(model, o);
  } catch (const Error& error) {
    FailAt(file, o.row.line, error.message());
  }
  return o;
}

}  // namespace

std::vector<PublishedSpeed> ParsePublishedSpeeds(std::string_view csv, const std::string& file) {
  std::vector<PublishedSpeed> rows;
  for (CsvReader reader(csv, file, kSpeedColumns); reader.Next();) {
    PublishedSpeed& row = rows.emplace_back();
    row.line = reader.line();
    row.id = reader.Required(0);
    row.device = reader.Required(1);
    row.variant = reader.Text(2);
    row.engine = reader.Required(3);
    row.shape = reader.Required(4);
    row.recipe = reader.Required(5);
    row.threads = reader.Count(6);
    row.prompt = reader.Count(7);
    row.generated = reader.Count(8);
    row.tok_s = reader.Real(9, 1e-4, 1e6);
    row.prefill_tok_s = reader.Real(10, 0, 1e7);
    row.unscored = reader.Text(11);
    row.source = reader.Required(12);
    row.note = reader.Text(13);
    if (std::ranges::count(rows, row.id, &PublishedSpeed::id) > 1)
      reader.Fail(StrCat("id ", row.id, " is there twice"));
    if (FindRecipe(row.recipe) == nullptr) {
      reader.Fail(StrCat("no recipe is named '", row.recipe, "': known are ", RecipeNames()));
    }
  }
  return rows;
}

std::vector<PublishedEnergy> ParsePublishedEnergy(std::string_view csv, const std::string& file) {
  std::vector<PublishedEnergy> rows;
  for (CsvReader reader(csv, file, kEnergyColumns); reader.Next();) {
    PublishedEnergy& row = rows.emplace_back();
    row.line = reader.line();
    row.speed = reader.Required(0);
    row.watts = reader.Real(1, 1e-3, 1e5);
    row.where = reader.Required(2);
    if (std::ranges::count(rows, row.speed, &PublishedEnergy::speed) > 1) {
      reader.Fail(StrCat("speed ", row.speed, " is there twice"));
    }
    if (row.where != "wall" && row.where != "board") {
      reader.Fail(StrCat("where is '", row.where, "': it must be wall or board"));
    }
  }
  return rows;
}

const char* NameOf(BitClass bits) {
  static constexpr std::array<const char*, 6> kNames = {"2-3-bit", "4-bit",  "5-6-bit",
                                                        "8-bit",   "16-bit", "32-bit"};
  return kNames[static_cast<size_t>(bits)];
}

BitClass BitClassOf(const Recipe& recipe) {
  // Q2_K takes 2.6 bits, Q3_K 3.4, Q4_1 5.0, Q5_0 5.5, Q6_K 6.6, Q8_0 8.5, scales counted.
  constexpr uint32_t kWeights = 256;
  const double bits = 8.0 * static_cast<double>(RowBytes(recipe.base, kWeights)) / kWeights;
  if (bits < 4) return BitClass::k2To3;
  if (bits <= 5) return BitClass::k4;
  if (bits < 8) return BitClass::k5To6;
  if (bits < 16) return BitClass::k8;
  return bits < 32 ? BitClass::k16 : BitClass::k32;
}

std::string Observation::ClassName() const {
  return StrCat(device.family, " x ", row.engine, " x ", NameOf(bits));
}

PublishedTable::PublishedTable(std::vector<PublishedSpeed> speeds, const std::string& speeds_file,
                               std::vector<PublishedEnergy> energy, const std::string& energy_file,
                               DeviceOf device_of)
    : energy_(std::move(energy)) {
  observations_.reserve(speeds.size());
  for (PublishedSpeed& row : speeds) observations_.push_back(Observe(std::move(row), speeds_file, device_of));
  for (const PublishedEnergy& row : energy_) {
    const auto has_id = [&](const Observation& o) { return o.row.id == row.speed; };
    if (std::ranges::none_of(observations_, has_id)) {
      FailAt(energy_file, row.line, StrCat("no speed has the id '", row.speed, "'"));
    }
  }
}

const Observation& PublishedTable::Find(std::string_view id) const {
  const auto found =
      std::ranges::find_if(observations_, [&](const Observation& o) { return o.row.id == id; });
  EDGEWISE_CHECK(found != observations_.end());
  return *found;
}

Efficiency PublishedTable::Remember(const std::string& key, FunctionRef<Efficiency()> make) const {
  // Held while it is made: who asks for the same meanwhile waits, which is less work than making it twice.
  const std::lock_guard lock(memo_->mutex);
  if (const auto found = memo_->known.find(key); found != memo_->known.end()) return found->second;
  return memo_->known.emplace(key, make()).first->second;
}

}  // namespace edgewise
