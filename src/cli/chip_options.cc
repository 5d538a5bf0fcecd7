#include "cli/chip_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "cli/console.h"
#include "cli/table.h"
#include "gguf/gguf.h"
#include "machine/chip_file.h"
#include "model/model.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

}  // namespace

std::vector<std::string> FoldersOf(const char* kind, const char* variable) {
  const char* chosen = std::getenv(variable);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return NamedFolders(kind, chosen == nullptr ? "" : chosen, error ? "" : program.parent_path().string(),
                      EDGEWISE_SOURCE_DIR);
}

ChipCatalog NamedChips() { return ChipCatalog(FoldersOf("chips", "EDGEWISE_CHIPS")); }

void ChipFlags::AddTo(Flags& flags) {
  flags.Add("--chip", chip, "NAME", "the chip: a name (edgewise chips lists them) or a file NAME.toml");
  flags.Add("--set", set, "FIELD=VALUE", "a field of the chip changed, as in its file: array.rows=16");
}

ChipDesign ChipFlags::Design() const {
  ChipDesign design = NamedChips().Find(chip);
  for (const std::string& one : set) {
    const size_t equals = one.find('=');
    if (equals == std::string::npos) {
      throw Error(ErrorCode::kUsage, StrCat("--set needs FIELD=VALUE, not '", Printable(one), "'"));
    }
    SetChipField(design, std::string_view(one).substr(0, equals), std::string_view(one).substr(equals + 1));
    design.name += StrCat(design.name == chip ? "+" : ",", Printable(one));
  }
  CheckDesign(design);
  return design;
}

void WorkFlags::AddTo(Flags& flags) {
  flags.Add(
      "-m,--model", model, "SHAPE|FILE",
      "tinyllama-1.1b, llama2-7b, gpt2-small, bert-base, mobilenet-v1, ...; a wrong one lists all; or a "
      "GGUF file");
  flags.Add("--tokens", tokens, "N", "rows of the step: 1 decodes, more is a prompt or a batch; images");
  flags.Add("--context", context, "N", "tokens already in the cache, which attention reads");
  flags.Add("--logits", logits, "N", "rows of the step that go through the head");
}

Workload WorkFlags::LoadFor(uint64_t rows) const {
  const WorkStep step = {rows, context, std::min(logits, rows)};
  if (tokens == 0) throw Error(ErrorCode::kUsage, "--tokens is at least 1");
  if (logits > tokens) {
    throw Error(ErrorCode::kUsage,
                StrCat("--logits ", logits, " of --tokens ", tokens, ": at most all of them"));
  }
  if (!model.ends_with(".gguf") && model.find('/') == std::string::npos) return WorkloadNamed(model, step);
  return WorkloadOf(Model::FromGguf(Gguf::Open(model)).config(), step);
}

uint64_t FullRows(const ChipDesign& design, uint64_t m) {
  return (m + design.rows - 1) / design.rows * design.rows;
}

std::string RowsText(const ChipDesign& design, uint64_t m, const std::string& what, double full_ratio) {
  const std::string tokens = StrCat(Grouped(m), " ", what, m == 1 ? "" : "s");
  if (design.rows == 1) return StrCat("A tile has one row: every ", what, " costs the same.");
  const uint64_t full = FullRows(design, m), used = m - (full - design.rows);
  if (used == design.rows) return StrCat(tokens, m == 1 ? " fills" : " fill", " all ", design.rows,
                                         " rows of every tile.");
  const std::string tile = full == design.rows ? "each tile" : "the last row block";
  const std::string cost =
      full_ratio < 1.00005
          ? StrCat("up to ", Grouped(full), " cost what ", m == 1 ? "one costs." : "these cost.")
          : StrCat(Grouped(full), " cost ", Number(full_ratio, full_ratio < 1.0995 ? "%.3f" : "%.2f"),
                   " times what ", m == 1 ? "one costs." : "these cost.");
  return StrCat(tokens, m == 1 ? " uses " : " use ", used, " of the ", design.rows, " rows of ", tile, ": ",
                cost);
}

std::string ArrayText(const ChipDesign& d) {
  std::string text = StrCat(d.rows, "x", d.cols, "x", d.depth);
  if (d.arrays > 1) text = StrCat(d.arrays, " of ", text);
  if (d.chips > 1) text = StrCat(d.chips, " chips, ", text);
  return text;
}

uint64_t ParseSize(const char* name, const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value > 0) return value;
  throw Error(ErrorCode::kUsage, StrCat(name, " is a whole number from 1, not '", Printable(text), "'"));
}

std::string HashText(uint64_t hash) {
  std::array<char, 17> text;
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
  return text.data();
}

}  // namespace edgewise
