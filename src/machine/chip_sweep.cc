#include "machine/chip_sweep.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/fnv.h"
#include "base/thread_pool.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostValues = 100'000;  // of an axis
// Designs that are priced, then written together: some milliseconds of work, so an interruption loses little
// and workers do not wait for each other often.
constexpr uint32_t kBlock = 2048;

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t at = 0;;) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    if (end == text.size()) return parts;
    at = end + 1;
  }
}

bool ReadNumber(std::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

// The shortest text that reads back the same; whole numbers without an exponent, as counts need them.
std::string NumberText(double value) {
  std::array<char, 32> digits;
  const bool whole = std::abs(value) < 1e15 && value == std::floor(value);
  const auto format = whole ? std::chars_format::fixed : std::chars_format::general;
  return std::string(digits.data(),
                     std::to_chars(digits.data(), digits.data() + digits.size(), value, format).ptr);
}

// "first:last:step".
std::vector<std::string> ValuesOfRange(const std::string& name, std::string_view text) {
  const std::vector<std::string> parts = Split(text, ':');
  double first = 0, last = 0, step = 0;
  if (parts.size() != 3 || !ReadNumber(parts[0], first) || !ReadNumber(parts[1], last) ||
      !ReadNumber(parts[2], step) || !(step > 0) || last < first) {
    throw Error(ErrorCode::kUsage, StrCat(name, "=", Printable(text),
                                          ": a range is FIRST:LAST:STEP, three numbers "
                                          "with FIRST <= LAST and STEP above 0"));
  }
  const double count = std::floor((last - first) / step * (1 + 1e-12) + 1e-9) + 1;
  if (count > static_cast<double>(kMostValues)) {
    throw Error(ErrorCode::kLimit,
                StrCat(name, "=", Printable(text), ": more than ", kMostValues, " values"));
  }
  std::vector<std::string> values;
  for (uint64_t i = 0; i < static_cast<uint64_t>(count); ++i) {
    values.push_back(NumberText(first + static_cast<double>(i) * step));
  }
  return values;
}

struct Fnv {
  uint64_t hash = kFnvOffset;
  void Add(std::string_view text) {
    for (const char c : text) hash = FnvMix(hash, static_cast<unsigned char>(c));
    hash = FnvMix(hash, 0xff);  // so that "ab", "c" differs from "a", "bc"
  }
};

std::string HexText(uint64_t hash) {
  std::array<char, 17> text;
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

// ---- the file ----

std::string HeaderText(const SweepPlan& plan) {
  std::string columns = "number,chip";
  for (const SweepAxis& axis : plan.axes) columns += StrCat(",", axis.name());
  return StrCat("# edgewise chip sweep ", HexText(plan.Hash()), ": ", plan.designs(), " designs, ",
                plan.task_name, "\n", columns,
                ",tok_s,joules_token,area_mm2,utilisation,peak_gops,refused\n");
}

std::string RowText(const SweepPlan& plan, const SweepRow& row) {
  std::string text = StrCat(row.number);
  for (const std::string& setting : plan.SettingsOf(row.number)) text += "," + setting;
  for (const double value : {row.tok_s, row.joules_token, row.area_mm2, row.utilisation, row.peak_gops}) {
    text += "," + NumberText(value);
  }
  std::string refused = row.refused;
  std::ranges::replace(refused, '"', '\'');
  return StrCat(text, refused.empty() ? "," : StrCat(",\"", refused, "\""), "\n");
}

// A row as RowText wrote it; false for anything else.
bool ReadRow(const SweepPlan& plan, std::string_view line, uint64_t number, SweepRow& row) {
  std::string settings = StrCat(number);
  for (const std::string& setting : plan.SettingsOf(number)) settings += "," + setting;
  if (!line.starts_with(settings + ",")) return false;
  line.remove_prefix(settings.size() + 1);
  row.number = number;
  for (double* value : {&row.tok_s, &row.joules_token, &row.area_mm2, &row.utilisation, &row.peak_gops}) {
    const size_t comma = line.find(',');
    if (comma == std::string_view::npos || !ReadNumber(line.substr(0, comma), *value)) return false;
    line.remove_prefix(comma + 1);
  }
  if (line.empty()) return true;
  if (line.size() < 2 || line.front() != '"' || line.back() != '"') return false;
  row.refused = line.substr(1, line.size() - 2);
  return true;
}

// Collects what a sweep has found.
class Collector {
 public:
  Collector(uint64_t designs, uint64_t most_sampled)
      : every_(std::max<uint64_t>(1, (designs + most_sampled - 1) / std::max<uint64_t>(1, most_sampled))) {}

  void Add(SweepRow row) {
    ++result_.designs;
    if (!row.refused.empty()) {
      if (result_.refused++ == 0) result_.first_refusal = row.refused;
      return;
    }
    if (row.number % every_ == 0) result_.sample.push_back(row);
    candidates_.push_back(std::move(row));
    if (candidates_.size() >= front_size_ + 4 * kBlock) Reduce();
  }

  SweepResult Take() {
    Reduce();
    result_.front = std::move(candidates_);
    std::ranges::stable_sort(result_.front, std::greater(), &SweepRow::tok_s);
    return std::move(result_);
  }

 private:
  void Reduce() {
    candidates_ = ParetoFront(std::move(candidates_));
    front_size_ = candidates_.size();
  }

  uint64_t every_;
  std::vector<SweepRow> candidates_;  // the front so far, and what came since
  size_t front_size_ = 0;
  SweepResult result_;
};

class SweepFile {
 public:
  // Reads what is there, cuts off half a line, and stays open for appending.
  SweepFile(const SweepPlan& plan, const std::string& path, Collector& collector) : plan_(plan), path_(path) {
    std::error_code error;
    const bool is_new = !fs::exists(path, error) || fs::file_size(path, error) == 0;
    if (!is_new) {
      const uint64_t whole = ReadAll(collector);
      fs::resize_file(path, whole, error);
      if (error) Fail("cannot be shortened to its whole lines");
    }
    out_.open(path, std::ios::binary | std::ios::app);
    if (!out_) Fail("cannot be written");
    if (is_new || rows_ == kNoHeader) {
      rows_ = 0;
      Write(HeaderText(plan));
    }
  }

  uint64_t rows() const { return rows_; }
  void Write(const std::string& text) {
    out_ << text;
    out_.flush();
    if (!out_) Fail("cannot be written: is the disk full?");
  }

 private:
  static constexpr uint64_t kNoHeader = UINT64_MAX;

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kIo, StrCat(Printable(path_, 200), ": ", what));
  }

  // Bytes of its whole lines.
  uint64_t ReadAll(Collector& collector) {
    std::error_code error;
    if (!fs::is_regular_file(path_, error)) Fail("is no file");
    std::ifstream in(path_, std::ios::binary);
    if (!in) Fail("cannot be read");
    const std::vector<std::string> header = Split(HeaderText(plan_), '\n');
    std::string line;
    uint64_t bytes = 0;
    for (uint64_t at = 0; std::getline(in, line); ++at) {
      const bool whole = !in.eof();
      if (at < 2) {
        const std::string& expected = header[at];
        if (whole ? line != expected : !expected.starts_with(line)) {
          throw Error(ErrorCode::kUsage, StrCat(Printable(path_, 200), " is not of this sweep (line ", at + 1,
                                                " differs): remove it, or name another file"));
        }
        if (!whole) {  // not even the columns were written
          rows_ = kNoHeader;
          return 0;
        }
      } else {
        if (!whole) break;
        SweepRow row;
        if (at - 2 >= plan_.designs() || !ReadRow(plan_, line, at - 2, row)) {
          throw Error(ErrorCode::kBadFile, StrCat(Printable(path_, 200), ":", at + 1, " is not row ", at - 2,
                                                  " of this sweep: ", Printable(line, 80)));
        }
        collector.Add(std::move(row));
        ++rows_;
      }
      bytes += line.size() + 1;
    }
    if (in.bad()) Fail("cannot be read");
    if (bytes < header[0].size() + header[1].size() + 2) rows_ = kNoHeader, bytes = 0;
    return bytes;
  }

  const SweepPlan& plan_;
  std::string path_;
  std::ofstream out_;
  uint64_t rows_ = 0;  // that are whole
};

}  // namespace

std::string SweepAxis::name() const {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "" : "+") + field;
  return text;
}

SweepAxis ParseSweepAxis(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size()) {
    throw Error(ErrorCode::kUsage, StrCat("'", Printable(text),
                                          "': what to vary is FIELD=VALUE,VALUE,... or "
                                          "FIELD=FIRST:LAST:STEP"));
  }
  SweepAxis axis;
  axis.fields = Split(text.substr(0, equals), '+');
  const std::string_view values = text.substr(equals + 1);
  axis.values = values.find(':') == std::string_view::npos
                    ? Split(values, ',')
                    : ValuesOfRange(std::string(text.substr(0, equals)), values);
  if (axis.values.size() > kMostValues) {
    throw Error(ErrorCode::kLimit, StrCat(Printable(axis.name()), " has more than ", kMostValues, " values"));
  }
  ChipDesign scratch;
  for (std::string& value : axis.values) {
    for (const std::string& field : axis.fields) {
      double number = 0;
      // "100e6" of a field that counts: as a whole number.
      try {
        SetChipField(scratch, field, value);
      } catch (const Error&) {
        if (!ReadNumber(value, number)) throw;
        SetChipField(scratch, field, NumberText(number));
        value = NumberText(number);
      }
    }
  }
  return axis;
}

uint64_t SweepPlan::designs() const {
  if (bases.empty()) throw Error(ErrorCode::kUsage, "a sweep needs a chip to start from");
  std::set<std::string> fields;
  uint64_t count = bases.size();
  for (const SweepAxis& axis : axes) {
    for (const std::string& field : axis.fields) {
      if (!fields.insert(field).second) throw Error(ErrorCode::kUsage, StrCat(field, " is varied twice"));
    }
    if (__builtin_mul_overflow(count, uint64_t{axis.values.size()}, &count) || count > kMostSweepDesigns) {
      throw Error(ErrorCode::kLimit, StrCat("this sweep has more than 2^48 designs (", Printable(axis.name()),
                                            " made it so): take fewer values"));
    }
  }
  return count;
}

std::vector<std::string> SweepPlan::SettingsOf(uint64_t number) const {
  std::vector<std::string> settings(axes.size() + 1);
  for (size_t a = axes.size(); a-- > 0;) {
    settings[a + 1] = axes[a].values[number % axes[a].values.size()];
    number /= axes[a].values.size();
  }
  settings[0] = bases.at(number).name;
  return settings;
}

ChipDesign SweepPlan::DesignOf(uint64_t number) const {
  uint64_t per_base = 1;
  for (const SweepAxis& axis : axes) per_base *= axis.values.size();
  ChipDesign design = bases.at(number / per_base);
  const std::vector<std::string> settings = SettingsOf(number);
  for (size_t a = 0; a < axes.size(); ++a) {
    for (const std::string& field : axes[a].fields) SetChipField(design, field, settings[a + 1]);
  }
  return design;
}

uint64_t SweepPlan::Hash() const {
  Fnv fnv;
  for (const ChipDesign& base : bases) {
    fnv.Add(base.name);
    fnv.Add(WriteChip(base));
  }
  for (const SweepAxis& axis : axes) {
    fnv.Add(axis.name());
    for (const std::string& value : axis.values) fnv.Add(value);
    fnv.Add("");
  }
  for (const Task::Part& part : task.parts) {
    fnv.Add(StrCat(part.work.name, " ", NumberText(part.times)));
    for (const WorkProduct& p : part.work.products) {
      fnv.Add(StrCat(p.name, " ", p.count, " ", p.m, " ", p.n, " ", p.k));
    }
  }
  fnv.Add(StrCat(NumberText(task.tokens), " ", static_cast<int>(attention)));
  return fnv.hash;
}

SweepRow PriceDesign(const SweepPlan& plan, uint64_t number) {
  SweepRow row;
  row.number = number;
  try {
    const ChipDesign design = plan.DesignOf(number);
    CheckDesign(design);
    const Speed speed = SpeedOf(design, plan.task, {SpeedUnit::kTokensPerSecond, 1}, plan.attention);
    row.tok_s = speed.value;
    row.joules_token = speed.joules / plan.task.tokens;
    row.area_mm2 = ChipArea(design);
    row.utilisation = speed.cost.utilisation();
    row.peak_gops = 2e-9 * static_cast<double>(PeakMacs(design)) * design.chips * design.clock_hz;
  } catch (const Error& error) {
    row.refused = Printable(error.message(), 200);
  }
  return row;
}

std::vector<SweepRow> ParetoFront(std::vector<SweepRow> rows) {
  const auto key = [](const SweepRow& r) { return std::tuple(-r.tok_s, r.joules_token, r.area_mm2); };
  std::vector<uint32_t> order(rows.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  std::ranges::sort(order, {}, [&](uint32_t i) { return key(rows[i]); });
  // Least area of those at least as fast, by joules: areas fall along the map. A row is beaten by one that
  // came before it if that needs neither more joules nor more area; equals come in a row and share their
  // fate.
  std::map<double, double> stairs;
  std::vector<char> keep(rows.size(), 0);
  for (size_t at = 0; at < order.size(); ++at) {
    const SweepRow& row = rows[order[at]];
    if (at > 0 && key(row) == key(rows[order[at - 1]])) {
      keep[order[at]] = keep[order[at - 1]];
      continue;
    }
    auto above = stairs.upper_bound(row.joules_token);
    if (above != stairs.begin() && std::prev(above)->second <= row.area_mm2) continue;
    keep[order[at]] = 1;
    auto place = stairs.insert_or_assign(row.joules_token, row.area_mm2).first;
    for (++place; place != stairs.end() && place->second >= row.area_mm2;) place = stairs.erase(place);
  }
  std::vector<SweepRow> front;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (keep[i]) front.push_back(std::move(rows[i]));
  }
  return front;
}

SweepResult RunSweep(const SweepPlan& plan, const SweepOptions& options) {
  const uint64_t designs = plan.designs();
  Collector collector(designs, options.most_sampled);
  std::optional<SweepFile> file;
  if (!options.csv.empty()) file.emplace(plan, options.csv, collector);
  const uint64_t resumed = file ? file->rows() : 0;

  ThreadPool pool(options.threads);
  std::vector<SweepRow> rows;
  bool finished = true;
  for (uint64_t done = resumed; done < designs && finished; done += rows.size()) {
    rows.resize(static_cast<size_t>(std::min<uint64_t>(kBlock, designs - done)));
    pool.Run([&](Worker& worker) {
      worker.ForChunks(static_cast<uint32_t>(rows.size()), 8, [&](uint32_t begin, uint32_t end) {
        for (uint32_t i = begin; i < end; ++i) rows[i] = PriceDesign(plan, done + i);
      });
    });
    if (file) {
      std::string text;
      for (const SweepRow& row : rows) text += RowText(plan, row);
      file->Write(text);
    }
    for (const SweepRow& row : rows) collector.Add(row);
    if (options.progress) finished = options.progress(done + rows.size()) || done + rows.size() == designs;
  }
  SweepResult result = collector.Take();
  result.resumed = resumed;
  result.finished = finished;
  return result;
}

}  // namespace edgewise
