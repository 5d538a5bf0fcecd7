// Texts that are compiled into the program (CMakeLists.txt here): the RTL of rtl/ and what checks it.
#pragma once

#include <span>
#include <string_view>

namespace edgewise {

struct EmbeddedFile {
  std::string_view name, text;
};
std::span<const EmbeddedFile> ChipSources();

}  // namespace edgewise
