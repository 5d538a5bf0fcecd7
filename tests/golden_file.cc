#include "golden_file.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>

#include "base/error.h"

namespace edgewise {
namespace {

using Record = std::vector<std::string>;

// RFC 4180: a quoted field may hold commas, line ends, and quotes written twice.
std::vector<Record> ParseCsv(std::string_view text) {
  std::vector<Record> records;
  Record record;
  std::string field;
  bool quoted = false, any = false;
  const auto end_field = [&] {
    record.push_back(std::move(field));
    field.clear();
  };
  const auto end_record = [&] {
    if (any) {
      end_field();
      records.push_back(std::move(record));
    }
    record.clear();
    any = false;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += text[++i];
      } else {
        quoted = false;
      }
      continue;
    }
    if (c == '\n') {
      end_record();
      continue;
    }
    if (c == '\r') continue;
    any = true;
    if (c == ',') {
      end_field();
    } else if (c == '"') {
      quoted = true;
    } else {
      field += c;
    }
  }
  if (quoted) throw Error(ErrorCode::kBadFile, "a quoted field has no end");
  end_record();
  return records;
}

// False unless all of the text is a number.
bool ReadNumber(const std::string& text, double& value) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end && !text.empty();
}

void ParseInputs(const std::string& inputs, GoldenRow& row) {
  for (size_t at = 0; at < inputs.size();) {
    const size_t end = std::min(inputs.find(';', at), inputs.size());
    const std::string pair = inputs.substr(at, end - at);
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) {
      throw Error(ErrorCode::kBadFile, StrCat(row.id, ": '", pair, "' is no key=value"));
    }
    if (!row.inputs.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second) {
      throw Error(ErrorCode::kBadFile, StrCat(row.id, ": ", pair.substr(0, equals), " is given twice"));
    }
    at = end + 1;
  }
  const auto op = row.inputs.find("op");
  if (op == row.inputs.end()) throw Error(ErrorCode::kBadFile, StrCat(row.id, ": no op"));
  row.op = op->second;
  row.inputs.erase(op);
}

}  // namespace

const std::string& GoldenRow::Text(const std::string& key) const {
  const auto found = inputs.find(key);
  if (found == inputs.end()) throw Error(ErrorCode::kBadFile, StrCat(op, " needs ", key));
  return found->second;
}

double GoldenRow::Number(const std::string& key) const {
  double value = 0;
  if (ReadNumber(Text(key), value) && std::isfinite(value)) return value;
  throw Error(ErrorCode::kBadFile, StrCat(key, " is no number: '", Text(key), "'"));
}

uint64_t GoldenRow::Count(const std::string& key) const {
  const double value = Number(key);
  if (value >= 0 && value <= 0x1p53 && value == std::floor(value)) return static_cast<uint64_t>(value);
  throw Error(ErrorCode::kBadFile, StrCat(key, " is no whole number: '", Text(key), "'"));
}

uint64_t GoldenRow::Count(const std::string& key, uint64_t otherwise) const {
  return inputs.contains(key) ? Count(key) : otherwise;
}

bool GoldenRow::IsPrintedFigure() const {
  return note.find("wrong premise") != std::string::npos || op.ends_with("_printed") ||
         op.find("_formula") != std::string::npos;
}

std::string TextOf(const Answer& answer) {
  if (const auto* text = std::get_if<std::string>(&answer)) return *text;
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", std::get<double>(answer));
  return text;
}

bool Agrees(const GoldenRow& row, const Answer& answer) {
  double expected = 0, bound = 0;
  const auto* value = std::get_if<double>(&answer);
  if (value == nullptr || !ReadNumber(row.expected, expected)) return TextOf(answer) == row.expected;
  if (row.tolerance == "exact") return *value == expected;
  const std::string kind = row.tolerance.substr(0, 4);
  if ((kind != "rel:" && kind != "abs:") || !ReadNumber(row.tolerance.substr(4), bound)) {
    throw Error(ErrorCode::kBadFile, StrCat("tolerance '", row.tolerance, "'"));
  }
  return std::abs(*value - expected) <= (kind == "rel:" ? bound * std::abs(expected) : bound);
}

std::vector<GoldenRow> ParseGolden(std::string_view text) {
  static const Record kColumns = {"id",   "seed",      "what",   "inputs", "expected",
                                  "unit", "tolerance", "status", "note"};
  const std::vector<Record> records = ParseCsv(text);
  if (records.empty() || records[0] != kColumns) {
    throw Error(ErrorCode::kBadFile, "record 1: the columns are not id, seed, what, inputs, expected, unit, "
                                     "tolerance, status, note");
  }
  std::vector<GoldenRow> rows;
  std::set<std::string> ids;
  for (size_t i = 1; i < records.size(); ++i) {
    const Record& r = records[i];
    if (r.size() != kColumns.size()) {
      throw Error(ErrorCode::kBadFile, StrCat("record ", i + 1, ": ", r.size(), " fields instead of ",
                                              kColumns.size()));
    }
    GoldenRow row = {.id = r[0], .what = r[2], .op = "", .expected = r[4], .tolerance = r[6], .note = r[8],
                     .inputs = {}};
    if (!ids.insert(row.id).second) throw Error(ErrorCode::kBadFile, StrCat("two rows are called ", row.id));
    ParseInputs(r[3], row);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace edgewise
