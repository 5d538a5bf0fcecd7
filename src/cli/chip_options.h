// What the chip verbs share: which design, which model, and how their figures are written (text.h
// and console.h with it).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/flags.h"
#include "cli/text.h"
#include "graph/workload.h"
#include "machine/chip.h"
#include "machine/chip_catalog.h"

namespace edgewise {

// The folders of files of a kind, "chips" or "devices": the one that the environment's `variable` names,
// <program>/../share/edgewise/KIND, that of the source tree this program was built from.
std::vector<std::string> FoldersOf(const char* kind, const char* variable);

// The named chips: in $EDGEWISE_CHIPS, <program>/../share/edgewise/chips, or the source tree this program was
// built from.
ChipCatalog NamedChips();

// --chip, --set
struct ChipFlags {
  std::string chip = "compact-532";
  std::vector<std::string> set;  // "array.rows=16"

  void AddTo(Flags& flags);
  // Throws Error as ChipCatalog::Find, SetChipField and CheckDesign do.
  ChipDesign Design() const;
};

// -m, --tokens, --context, --logits
struct WorkFlags {
  std::string model = "tinyllama-1.1b";
  uint64_t tokens = 1, context = 0, logits = 1;

  void AddTo(Flags& flags);
  // The products of the step, of a named network or of a model file. Throws Error as WorkloadNamed and
  // Gguf::Open do.
  Workload Load() const { return LoadFor(tokens); }
  // The same with another number of tokens.
  Workload LoadFor(uint64_t rows) const;
};

// A dimension of a product, at least 1. Throws Error(kUsage) naming it.
uint64_t ParseSize(const char* name, const std::string& text);

// "1 token uses 1 of the 8 rows of a tile: up to 8 cost what one costs." The first thing to know of a chip:
// `full_ratio` is what as many tokens as fill the last row block cost, in units of what `m` cost.
// `what` is what a row is: "token", "row".
std::string RowsText(const ChipDesign& design, uint64_t m, const std::string& what, double full_ratio);
// Rows that fill the last row block of `m`.
uint64_t FullRows(const ChipDesign& design, uint64_t m);

// "8x8x8" (rows, columns, k of a tile), "4 of 8x8x8", "4 chips, 8x8x8".
std::string ArrayText(const ChipDesign& design);

// Sixteen hexadecimal digits.
std::string HashText(uint64_t hash);

}  // namespace edgewise
