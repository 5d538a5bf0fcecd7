// A table of worked numbers: one row asks for one value, says what it must be and how closely.
//
//   id, seed, what, inputs, expected, unit, tolerance, status, note
//
// inputs is "op=NAME;key=value;..."; tolerance is "exact", "rel:x" or "abs:x". Fields with commas or quotes
// are quoted as in RFC 4180.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace edgewise {

struct GoldenRow {
  std::string id, what, op, expected, tolerance, note;
  std::map<std::string, std::string> inputs;  // without op

  // Throw Error(kBadFile) for a key that the row lacks, and what is no such value.
  const std::string& Text(const std::string& key) const;
  double Number(const std::string& key) const;
  uint64_t Count(const std::string& key) const;  // a whole number, 2^53 at most
  uint64_t Count(const std::string& key, uint64_t otherwise) const;

  // Reproduces what a document printed rather than what is so.
  bool IsPrintedFigure() const;
};

using Answer = std::variant<double, std::string>;
std::string TextOf(const Answer& answer);
// Whether the answer is what the row expects, within its tolerance. Throws Error(kBadFile) for a tolerance
// that is none of the three.
bool Agrees(const GoldenRow& row, const Answer& answer);

// Throws Error(kBadFile) with the line for text that is no such table, or that has an id twice.
std::vector<GoldenRow> ParseGolden(std::string_view text);

}  // namespace edgewise
