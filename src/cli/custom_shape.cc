#include "cli/custom_shape.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "model/architecture.h"

namespace edgewise {
namespace {

// A shape all by dimensions.
ModelShape CustomShape(const ShapeChanges& changes) {
  if (!changes.width || !changes.layers || !changes.heads) {
    throw Error(ErrorCode::kUsage, "a custom shape needs --width, --layers and --heads");
  }
  ModelShape shape;
  ModelConfig& c = shape.config;
  c.architecture = "llama";
  c.name = kCustomShape;
  c.vocab = 32000;
  c.context = 2048;
  c.heads = *changes.heads;
  c.kv_heads = c.heads;
  c.head_dim = *changes.width / std::max(1u, c.heads);
  // Llama's ratio of 8/3, to the next multiple of 256.
  c.ffn = static_cast<uint32_t>((uint64_t{*changes.width} * 8 / 3 + 255) / 256 * 256);
  return shape;
}

}  // namespace

ModelShape ShapeOf(const std::string& name, const ShapeChanges& changes) {
  ModelShape shape = name == kCustomShape ? CustomShape(changes) : ShapeNamed(name);
  ModelConfig& c = shape.config;
  if (changes.architecture) c.architecture = *changes.architecture;
  c.rope.interleaved = ArchitectureNamed(c.architecture, "--arch").interleaved_rope;
  c.width = changes.width.value_or(c.width);
  c.layers = changes.layers.value_or(c.layers);
  c.heads = changes.heads.value_or(c.heads);
  c.kv_heads = changes.kv_heads.value_or(c.kv_heads);
  c.head_dim = changes.head_dim.value_or(c.head_dim);
  c.ffn = changes.ffn.value_or(c.ffn);
  c.vocab = changes.vocab.value_or(c.vocab);
  c.context = changes.context.value_or(c.context);
  c.rope.dims = c.head_dim;
  if (changes.tied && changes.untied) {
    throw Error(ErrorCode::kUsage, "--tied and --untied contradict each other");
  }
  if (changes.tied || changes.untied) shape.tied_output = changes.tied;
  return shape;
}

ModelShape ParseShape(std::string_view text) {
  ShapeChanges changes;
  struct Key {
    const char* name;
    std::optional<uint32_t>* value;
  };
  const Key keys[] = {{"width", &changes.width},       {"layers", &changes.layers},
                      {"heads", &changes.heads},       {"kv-heads", &changes.kv_heads},
                      {"head-dim", &changes.head_dim}, {"ffn", &changes.ffn},
                      {"vocab", &changes.vocab},       {"context", &changes.context}};
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals),
                           value = part.substr(std::min(equals + 1, part.size()));
    if (name == "arch") {
      changes.architecture = std::string(value);
      continue;
    }
    if (name == "tied") {
      changes.tied = true;
      continue;
    }
    const auto key = std::ranges::find(keys, name, &Key::name);
    if (key == std::end(keys)) {
      throw Error(
          ErrorCode::kUsage,
          StrCat("--shape: there is no '", Printable(name),
                 "': it takes width, layers, heads, kv-heads, head-dim, ffn, vocab, context, arch, tied"));
    }
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number == 0) {
      throw Error(ErrorCode::kUsage,
                  StrCat("--shape: ", name, "=", Printable(value), " is not a whole number above 0"));
    }
    *key->value = number;
  }
  ModelShape shape = ShapeOf(kCustomShape, changes);
  CheckShape(shape);
  return shape;
}

}  // namespace edgewise
