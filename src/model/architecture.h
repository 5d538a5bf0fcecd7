// The table of architectures. A new one is a file that defines an Architecture and a line in
// architecture.cc.
#pragma once

#include <string>
#include <string_view>

#include "gguf/gguf.h"
#include "model/config.h"

namespace edgewise {

enum class Presence : uint8_t { kAbsent, kOptional, kRequired };

struct Architecture {
  const char* name;         // general.architecture
  bool interleaved_rope;    // how the file's Q and K rows pair for rotation
  Presence qkv_bias;
  Presence other_bias;      // attention output and feed-forward matrices
  bool qk_norm;             // RMSNorm over each head of Q and K before rotation
  // Reads what only this architecture has, after the common keys; may be null.
  void (*read)(const Gguf& file, ModelConfig& config);
};

extern const Architecture kLlama, kQwen2, kQwen3;

// Throws Error(kUnsupported) naming it and listing those supported.
const Architecture& ArchitectureNamed(std::string_view name, std::string_view where);

// Configuration from the file's metadata. Throws Error(kBadFile | kUnsupported).
ModelConfig ReadConfig(const Gguf& file);

}  // namespace edgewise
