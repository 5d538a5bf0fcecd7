// A chip in words: the fields of a design by name, and the files (TOML) that describe one.
//
// A file has at its top `base` (a chip to start from), `summary` and `source`, and a table for each group
// of fields: [array], [timing], [scratchpad], [host], [memory], [chips], [energy], [area]. What is not said
// is as in the base; without a base, array.kind must be said and the rest is as in chip.h. docs/chip.md
// explains every field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "machine/chip.h"

namespace edgewise {

// "array.kind", "array.rows", ...: all fields but name, summary and source, in the order of files.
std::vector<std::string> ChipFields();

// Sets a field from text, as a flag or a sweep gives it: SetChipField(design, "array.rows", "16"). Does not
// check the design, as several fields may have to change together. Throws Error(kUsage): an unknown field
// (naming the nearest), a value of the wrong type.
void SetChipField(ChipDesign& design, std::string_view field, std::string_view value);
// The field as SetChipField takes it. Throws Error(kUsage) for an unknown field.
std::string ChipFieldText(const ChipDesign& design, std::string_view field);

// The chip that a file describes, checked; named after the file. `find_base` gives the chip of a name.
// Throws Error(kUsage) with file, line, key and reason for anything else than a valid chip: syntax, unknown
// keys (naming the nearest), wrong types, what CheckDesign refuses; Error(kLimit) beyond kMostChipFileBytes.
inline constexpr size_t kMostChipFileBytes = 64 << 10;
ChipDesign ParseChip(std::string_view text, const std::string& file,
                     FunctionRef<ChipDesign(const std::string& base)> find_base);

// A file without a base that ParseChip reads back as the same design.
std::string WriteChip(const ChipDesign& design);

}  // namespace edgewise
