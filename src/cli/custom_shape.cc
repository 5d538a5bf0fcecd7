#include "cli/custom_shape.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "cli/quantity.h"
#include "model/architecture.h"

namespace edgewise {
namespace {

// A shape all by dimensions.
ModelShape CustomShape(const ShapeChanges& changes) {
  if (!changes.width || !changes.layers || !changes.heads) {
    throw Error(ErrorCode::kUsage, "a custom shape needs width, layers and heads");
  }
  if (!changes.head_dim && *changes.heads != 0 && *changes.width % *changes.heads != 0) {
    throw Error(ErrorCode::kUsage, StrCat(*changes.heads, " heads do not divide a width of ", *changes.width,
                                          ": change one of them, or give head-dim"));
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
  try {
    c.rope.interleaved = ArchitectureNamed(c.architecture, "arch").interleaved_rope;
  } catch (const Error& error) {
    throw Error(ErrorCode::kUsage, error.message());  // of a file it would be another sort of error
  }
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
  const auto refuse = [](const auto&... parts) {
    throw Error(ErrorCode::kUsage, StrCat("--shape: ", parts...));
  };
  for (const std::string& part : SplitNames("--shape", text)) {
    const size_t equals = std::min(part.find('='), part.size());
    const std::string name = part.substr(0, equals), value = part.substr(std::min(equals + 1, part.size()));
    const auto key = std::ranges::find(keys, name, &Key::name);
    if (key != std::end(keys) ? key->value->has_value() : name == "arch" && changes.architecture) {
      refuse(name, " is there twice");
    }
    if (name == "arch") {
      changes.architecture = value;
    } else if (part == "tied") {
      changes.tied = true;
    } else if (key == std::end(keys)) {
      refuse("there is no '", Printable(part),
             "': it takes width=N, layers, heads, kv-heads, head-dim, ffn, vocab, context, arch=NAME, tied");
    } else {
      uint32_t number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size() || number == 0) {
        refuse(name, "=", Printable(value), " is not a whole number from 1 to 2^32 - 1");
      }
      *key->value = number;
    }
  }
  ModelShape shape = ShapeOf(kCustomShape, changes);
  CheckShape(shape);
  return shape;
}

}  // namespace edgewise
