// Model shapes by name and dimensions: what `synth` makes and `plan` prices.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/shapes.h"

namespace edgewise {

inline constexpr const char* kCustomShape = "custom";

// What changes a named shape, or makes one where the name is "custom".
struct ShapeChanges {
  std::optional<std::string> architecture;
  std::optional<uint32_t> width, layers, heads, kv_heads, head_dim, ffn, vocab, context;
  bool tied = false, untied = false;
};

// Of a custom shape what is not given follows from what is. Throws Error(kUsage) for an unknown name or
// architecture, a custom shape without width, layers and heads, flags that contradict each other.
ModelShape ShapeOf(const std::string& name, const ShapeChanges& changes);

// "width=2048,layers=22,heads=32,kv-heads=4,ffn=5632,vocab=32000": a custom shape, checked. The keys are
// synth's flags. Throws Error(kUsage) for an unknown key, a value that is none, and as CheckShape does.
ModelShape ParseShape(std::string_view text);

}  // namespace edgewise
